"""Shapes of trade: orders (TMF622), parties (TMF632), usage (TMF635), inventory (TMF637)."""

from typing import Final

__all__ = ["TRADE"]

TRADE: Final = """
Price: dutyFreeAmount:Money percentage:number taxIncludedAmount:Money taxRate:number
Charge: billingAccount:Ref description name productOfferingPrice:Ref recurringChargePeriod
    unitOfMeasure
PriceAlteration: price:Price! priceType! applicationDuration:integer description name
    priority:integer productOfferingPrice:Ref recurringChargePeriod unitOfMeasure
ProductPrice < Charge: price:Price! priceType! productPriceAlteration:PriceAlteration[]
OrderPrice < Charge: price:Price priceType priceAlteration:PriceAlteration[]
OrderTerm: description name duration:Quantity
ProductTerm < Named: description duration:Quantity
AgreementItem < Ref: agreementItemId
RelatedPlace: role! name
RelatedOrderItem: orderItemId! productOrderId! orderItemAction productOrderHref role
ProductRelationship: product:Product! relationshipType!
RealizingResource < Ref: value
Product < Owned: agreement:AgreementItem[] billingAccount:Ref description isBundle:boolean
    isCustomerVisible:boolean name orderDate:time place:RelatedPlace[] product:Product[]
    productCharacteristic:Characteristic[] productOffering:Ref
    productOrderItem:RelatedOrderItem[] productPrice:ProductPrice[]
    productRelationship:ProductRelationship[] productSerialNumber
    productSpecification:ProductSpecificationRef productTerm:ProductTerm[]
    realizingResource:RealizingResource[] realizingService:Ref[] startDate:time
    status=ProductStatus terminationDate:time

Note: text! author date:time
Channel < Ref: role
Appointment < Ref: description
QualificationItem < Ref: productOfferingQualificationId! productOfferingQualificationHref
    productOfferingQualificationName
QuoteItem < Ref: quoteId! quoteHref quoteName
ItemRelationship: relationshipType
ProductOrderItem: id! action=ItemAction! appointment:Appointment billingAccount:Ref
    itemPrice:OrderPrice[] itemTerm:OrderTerm[] itemTotalPrice:OrderPrice[] payment:Ref[]
    product:Product productOffering:Ref productOfferingQualificationItem:QualificationItem
    productOrderItem:ProductOrderItem[] productOrderItemRelationship:ItemRelationship[]
    qualification:Ref[] quantity:integer quoteItem:QuoteItem state=ItemState
ProductOrder < Owned: agreement:Ref[] billingAccount:Ref cancellationDate:time cancellationReason
    category channel:Channel[] completionDate:time description expectedCompletionDate:time
    externalId note:Note[] notificationContact orderDate:time orderTotalPrice:OrderPrice[]
    payment:Ref[] priority productOfferingQualification:Ref[]
    productOrderItem:ProductOrderItem[+] quote:Ref[] requestedCompletionDate:time
    requestedStartDate:time state=OrderState
CancelProductOrder: cancellationReason effectiveCancellationDate:time productOrder:Ref
    requestedCancellationDate:time state=TaskState

PersonName: aristocraticTitle familyName familyNamePrefix formattedName fullName generation
    givenName legalName middleName preferredGivenName title
OtherPersonName < PersonName: validFor:TimePeriod
OtherOrganizationName < Named: nameType tradingName
Medium: city contactType country emailAddress faxNumber phoneNumber postCode socialNetworkId
    stateOrProvince street1 street2
ContactMedium: characteristic:Medium mediumType preferred:boolean validFor:TimePeriod
CreditProfile: creditAgencyName creditAgencyType ratingReference ratingScore:integer
    validFor:TimePeriod
ExternalReference: externalReferenceType name
Identification: attachment:Attachment identificationId identificationType issuingAuthority
    issuingDate:time validFor:TimePeriod
TaxDefinition: name taxType
TaxExemption: attachment:Attachment taxDefinition:TaxDefinition[] validFor:TimePeriod
Party < Owned: contactMedium:ContactMedium[] creditRating:CreditProfile[]
    externalReference:ExternalReference[] partyCharacteristic:Characteristic[]
    taxExemptionCertificate:TaxExemption[]
Disability: disabilityCode disabilityName validFor:TimePeriod
Language: isFavouriteLanguage:boolean languageCode languageName listeningProficiency
    readingProficiency speakingProficiency validFor:TimePeriod writingProficiency
Skill: comment evaluatedLevel skillCode skillName validFor:TimePeriod
Individual < Party PersonName: birthDate:time countryOfBirth deathDate:time
    disability:Disability[] gender individualIdentification:Identification[]
    languageAbility:Language[] location maritalStatus nationality otherName:OtherPersonName[]
    placeOfBirth skill:Skill[] status=IndividualStatus
OrganizationRelationship: organization:Ref relationshipType
Organization < Party: existsDuring:TimePeriod isHeadOffice:boolean isLegalEntity:boolean name
    nameType organizationChildRelationship:OrganizationRelationship[]
    organizationIdentification:Identification[]
    organizationParentRelationship:OrganizationRelationship organizationType
    otherName:OtherOrganizationName[] status=OrganizationStatus tradingName

RatedUsage: bucketValueConvertedInAmount:Money isBilled:boolean isTaxExempt:boolean
    offerTariffType productRef:Ref ratingAmountType ratingDate:time
    taxExcludedRatingAmount:Money taxIncludedRatingAmount:Money taxRate:number usageRatingTag
Usage < Owned: description ratedProductUsage:RatedUsage[] status=UsageStatus
    usageCharacteristic:Characteristic[] usageDate:time usageSpecification:Ref usageType
UsageSpecification < Specification: constraint:Ref[] entitySpecRelationship:EntityRelationship[]
    specCharacteristic:CharacteristicSpecification[] targetEntitySchema:TargetSchema

ItemAction = add | modify | delete | noChange
OrderState = acknowledged | rejected | pending | held | inProgress | cancelled | completed | failed
    | partial | assessingCancellation | pendingCancellation
ItemState = acknowledged | rejected | pending | held | inProgress | cancelled | completed | failed
    | assessingCancellation | pendingCancellation
TaskState = acknowledged | terminatedWithError | inProgress | done
ProductStatus = created | pendingActive | cancelled | active | pendingTerminate | terminated
    | suspended | aborted
IndividualStatus = initialized | validated | deceaded
OrganizationStatus = initialized | validated | closed
UsageStatus = received | rejected | recycled | guided | rated | rerated | billed
"""
