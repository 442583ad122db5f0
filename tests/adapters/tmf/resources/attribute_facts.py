"""What the tests know of the attributes of all resources, written without a look at the tables.

``FIRST_LEVEL``: by resource, the attributes of the first level by kind ("times" would be an array
of times). ``REQUIRED``: by resource, what an object at a path must have.
"""

from collections.abc import Iterator
from typing import Final

__all__ = ["FIRST_LEVEL", "REQUIRED", "rows"]


def rows(text: str) -> Iterator[tuple[str, str, tuple[str, ...]]]:
    """Give (resource, what stands before a colon, words after it) of a table."""
    resource = ""
    for line in text.replace("\n    ", " ").strip().splitlines():
        if not line.startswith(" "):
            resource = line
            continue
        head, _, words = line.strip().partition(": ")
        yield resource, head, tuple(words.split())


FIRST_LEVEL: Final = """
catalog
  string: catalogType description lifecycleStatus name version
  time: lastUpdate
  object: validFor
  objects: category relatedParty
category
  string: description lifecycleStatus name parentId version
  boolean: isRoot
  time: lastUpdate
  object: validFor
  objects: productOffering subCategory
productOffering
  string: description lifecycleStatus name statusReason version
  boolean: isBundle isSellable
  time: lastUpdate
  object: productSpecification resourceCandidate serviceCandidate serviceLevelAgreement
    validFor
  objects: agreement attachment bundledProductOffering category channel marketSegment place
    prodSpecCharValueUse productOfferingPrice productOfferingRelationship productOfferingTerm
productOfferingPrice
  string: description lifecycleStatus name priceType recurringChargePeriodType version
  boolean: isBundle
  integer: recurringChargePeriodLength
  number: percentage
  time: lastUpdate
  object: price unitOfMeasure validFor
  objects: bundledPopRelationship constraint place popRelationship pricingLogicAlgorithm
    prodSpecCharValueUse productOfferingTerm tax
productSpecification
  string: brand description lifecycleStatus name productNumber version
  boolean: isBundle
  time: lastUpdate
  object: targetProductSchema validFor
  objects: attachment bundledProductSpecification productSpecCharacteristic
    productSpecificationRelationship relatedParty resourceSpecification serviceSpecification
catalogImportJob
  string: contentType errorLog path url
  time: completionDate creationDate
  word: status
catalogExportJob
  string: contentType errorLog path query url
  time: completionDate creationDate
  word: status
productOrder
  string: cancellationReason category description externalId notificationContact priority
  time: cancellationDate completionDate expectedCompletionDate orderDate
    requestedCompletionDate requestedStartDate
  word: state
  object: billingAccount
  objects: agreement channel note orderTotalPrice payment productOfferingQualification
    productOrderItem quote relatedParty
cancelProductOrder
  string: cancellationReason
  time: effectiveCancellationDate requestedCancellationDate
  word: state
  object: productOrder
individual
  string: aristocraticTitle countryOfBirth familyName familyNamePrefix formattedName fullName
    gender generation givenName legalName location maritalStatus middleName nationality
    placeOfBirth preferredGivenName title
  time: birthDate deathDate
  word: status
  objects: contactMedium creditRating disability externalReference individualIdentification
    languageAbility otherName partyCharacteristic relatedParty skill taxExemptionCertificate
organization
  string: name nameType organizationType tradingName
  boolean: isHeadOffice isLegalEntity
  word: status
  object: existsDuring organizationParentRelationship
  objects: contactMedium creditRating externalReference organizationChildRelationship
    organizationIdentification otherName partyCharacteristic relatedParty
    taxExemptionCertificate
serviceCatalog
  string: description lifecycleStatus name version
  time: lastUpdate
  object: validFor
  objects: category relatedParty
serviceCategory
  string: description lifecycleStatus name parentId version
  boolean: isRoot
  time: lastUpdate
  object: validFor
  objects: category serviceCandidate
serviceCandidate
  string: description lifecycleStatus name version
  time: lastUpdate
  object: serviceSpecification validFor
  objects: category
serviceSpecification
  string: description lifecycleStatus name version
  boolean: isBundle
  time: lastUpdate
  object: targetEntitySchema validFor
  objects: attachment constraint entitySpecRelationship featureSpecification relatedParty
    resourceSpecification serviceLevelSpecification serviceSpecRelationship specCharacteristic
serviceCatalogImportJob
  string: contentType errorLog path url
  time: completionDate creationDate
  word: status
serviceCatalogExportJob
  string: contentType errorLog path query url
  time: completionDate creationDate
  word: status
resourceCatalog
  string: description lifecycleStatus name version
  time: lastUpdate
  object: validFor
  objects: category relatedParty
resourceCategory
  string: description lifecycleStatus name parentId version
  boolean: isRoot
  time: lastUpdate
  object: validFor
  objects: category relatedParty resourceCandidate
resourceCandidate
  string: description lifecycleStatus name version
  time: lastUpdate
  object: resourceSpecification validFor
  objects: category
resourceSpecification
  string: category description lifecycleStatus name version
  boolean: isBundle
  time: lastUpdate
  object: targetResourceSchema validFor
  objects: attachment featureSpecification relatedParty resourceSpecCharacteristic
    resourceSpecRelationship
resourceCatalogImportJob
  string: contentType errorLog path url
  time: completionDate creationDate
  word: status
resourceCatalogExportJob
  string: contentType errorLog path query url
  time: completionDate creationDate
  word: status
usage
  string: description usageType
  time: usageDate
  word: status
  object: usageSpecification
  objects: ratedProductUsage relatedParty usageCharacteristic
usageSpecification
  string: description lifecycleStatus name version
  boolean: isBundle
  time: lastUpdate
  object: targetEntitySchema validFor
  objects: attachment constraint entitySpecRelationship relatedParty specCharacteristic
product
  string: description name productSerialNumber
  boolean: isBundle isCustomerVisible
  time: orderDate startDate terminationDate
  word: status
  object: billingAccount productOffering productSpecification
  objects: agreement place product productCharacteristic productOrderItem productPrice
    productRelationship productTerm realizingResource realizingService relatedParty
"""

REQUIRED: Final = """
catalog
  id: category[]
  @referredType id: relatedParty[]
category
  id: productOffering[] subCategory[]
productOffering
  id: agreement[] category[] channel[] marketSegment[] place[] productSpecification
    resourceCandidate serviceCandidate serviceLevelAgreement
    prodSpecCharValueUse[].productSpecification productOfferingPrice[].constraint[]
  price priceType: productOfferingPrice[].priceAlteration[]
  @schemaLocation @type: productSpecification.targetProductSchema
productOfferingPrice
  id: constraint[] place[] prodSpecCharValueUse[].productSpecification
  @schemaLocation @type: prodSpecCharValueUse[].productSpecification.targetProductSchema
productSpecification
  @referredType id: relatedParty[]
  id: resourceSpecification[] serviceSpecification[]
  @schemaLocation @type: targetProductSchema
productOrder
  id: agreement[] billingAccount channel[] payment[] productOfferingQualification[] quote[]
    orderTotalPrice[].billingAccount orderTotalPrice[].productOfferingPrice
    productOrderItem[].appointment productOrderItem[].billingAccount
    productOrderItem[].payment[] productOrderItem[].productOffering
    productOrderItem[].qualification[]
    orderTotalPrice[].priceAlteration[].productOfferingPrice
    productOrderItem[].product.agreement[] productOrderItem[].product.billingAccount
    productOrderItem[].product.productOffering productOrderItem[].product.productSpecification
    productOrderItem[].product.realizingResource[]
    productOrderItem[].product.realizingService[]
    productOrderItem[].product.productPrice[].billingAccount
    productOrderItem[].product.productPrice[].productOfferingPrice
  text: note[]
  action id: productOrderItem[] productOrderItem[].productOrderItem[]
  @referredType id: relatedParty[] productOrderItem[].product.relatedParty[]
  price priceType: orderTotalPrice[].priceAlteration[]
    productOrderItem[].product.productPrice[]
    productOrderItem[].product.productPrice[].productPriceAlteration[]
  id productOfferingQualificationId: productOrderItem[].productOfferingQualificationItem
  id quoteId: productOrderItem[].quoteItem
  role: productOrderItem[].product.place[]
  name value: productOrderItem[].product.productCharacteristic[]
  orderItemId productOrderId: productOrderItem[].product.productOrderItem[]
  product relationshipType: productOrderItem[].product.productRelationship[]
  @schemaLocation @type: productOrderItem[].product.productSpecification.targetProductSchema
cancelProductOrder
  id: productOrder
individual
  name value: partyCharacteristic[]
  @referredType id: relatedParty[]
organization
  name value: partyCharacteristic[]
  @referredType id: relatedParty[]
  id: organizationChildRelationship[].organization organizationParentRelationship.organization
serviceCatalog
  id: category[]
  @referredType id: relatedParty[]
serviceCategory
  id: category[] serviceCandidate[]
serviceCandidate
  id: category[] serviceSpecification
serviceSpecification
  id: constraint[] resourceSpecification[] serviceLevelSpecification[]
    entitySpecRelationship[].associationSpec featureSpecification[].constraint[]
  relationshipType: entitySpecRelationship[] serviceSpecRelationship[]
  @referredType id: relatedParty[]
  @schemaLocation @type: targetEntitySchema
  name: featureSpecification[].featureSpecCharacteristic[]
  name relationshipType: featureSpecification[].featureSpecRelationship[]
resourceCatalog
  id: category[]
  @referredType id: relatedParty[]
resourceCategory
  id: category[] resourceCandidate[]
  @referredType id: relatedParty[]
resourceCandidate
  id: category[] resourceSpecification
resourceSpecification
  @referredType id: relatedParty[]
  @schemaLocation @type: targetResourceSchema
  id: featureSpecification[].constraint[]
  name: featureSpecification[].featureSpecCharacteristic[]
  name relationshipType: featureSpecification[].featureSpecRelationship[]
usage
  @referredType id: relatedParty[]
  name value: usageCharacteristic[]
  id: usageSpecification ratedProductUsage[].productRef
usageSpecification
  id: constraint[] entitySpecRelationship[].associationSpec
  relationshipType: entitySpecRelationship[]
  @referredType id: relatedParty[]
  @schemaLocation @type: targetEntitySchema
product
  id: agreement[] billingAccount productOffering productSpecification realizingResource[]
    realizingService[] product[].agreement[] product[].billingAccount
    product[].productOffering product[].productSpecification product[].realizingResource[]
    product[].realizingService[] productPrice[].billingAccount
    productPrice[].productOfferingPrice
    productPrice[].productPriceAlteration[].productOfferingPrice
  role: place[] product[].place[]
  name value: productCharacteristic[] product[].productCharacteristic[]
  orderItemId productOrderId: productOrderItem[] product[].productOrderItem[]
  price priceType: productPrice[] product[].productPrice[]
    productPrice[].productPriceAlteration[]
  product relationshipType: productRelationship[] product[].productRelationship[]
  @referredType id: relatedParty[] product[].relatedParty[]
  @schemaLocation @type: productSpecification.targetProductSchema
"""
