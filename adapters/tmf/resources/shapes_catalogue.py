"""Shapes of the three catalogues: products (TMF620), services (TMF633), resources (TMF634)."""

from typing import Final

__all__ = ["CATALOGUE"]

CATALOGUE: Final = """
Duration: amount:integer units
Catalog < Versioned Owned: catalogType category:Ref[]
Category < Versioned: isRoot:boolean parentId productOffering:Ref[] subCategory:Ref[]
ProductSpecificationRef < Ref: targetProductSchema:TargetSchema
BundledOption: numberRelOfferDefault:integer numberRelOfferLowerLimit:integer
    numberRelOfferUpperLimit:integer
BundledOffering: lifecycleStatus name bundledProductOfferingOption:BundledOption
CharacteristicUse < Named: description maxCardinality:integer minCardinality:integer valueType
    productSpecCharacteristicValue:CharacteristicValue[]
    productSpecification:ProductSpecificationRef
OfferingTerm < Named: description duration:Duration
PriceValue: dutyFreeAmount:Money percentage:number taxCategory taxIncludedAmount:Money
    taxRate:number
OfferedAlteration < Named: price:PriceValue! priceType! applicationDuration:Duration description
    priority:integer recurringChargePeriod unitOfMeasure:Quantity
OfferedPrice < Versioned: constraint:Ref[] price:PriceValue priceAlteration:OfferedAlteration[]
    priceType recurringChargePeriod recurringChargePeriodLength:integer unitOfMeasure:Quantity
ProductOffering < Versioned: agreement:Ref[] attachment:Attachment[]
    bundledProductOffering:BundledOffering[] category:Ref[] channel:Ref[] isBundle:boolean
    isSellable:boolean marketSegment:Ref[] place:Ref[] prodSpecCharValueUse:CharacteristicUse[]
    productOfferingPrice:OfferedPrice[] productOfferingRelationship:Relationship[]
    productOfferingTerm:OfferingTerm[] productSpecification:ProductSpecificationRef
    resourceCandidate:Ref serviceCandidate:Ref serviceLevelAgreement:Ref statusReason
TaxItem: taxAmount:Money taxCategory taxRate:number
PricingLogic < Named: description plaSpecId
ProductOfferingPrice < Versioned: bundledPopRelationship:Named[] constraint:Ref[] isBundle:boolean
    percentage:number place:Ref[] popRelationship:Relationship[] price:Money priceType
    pricingLogicAlgorithm:PricingLogic[] prodSpecCharValueUse:CharacteristicUse[]
    productOfferingTerm:OfferingTerm[] recurringChargePeriodLength:integer
    recurringChargePeriodType tax:TaxItem[] unitOfMeasure:Quantity
BundledSpecification: lifecycleStatus name
ProductCharacteristicRelationship < Named: charSpecSeq:integer relationshipType
ProductCharacteristic < CharacteristicRule:
    productSpecCharRelationship:ProductCharacteristicRelationship[]
    productSpecCharacteristicValue:CharacteristicValue[]
ProductSpecification < Specification: brand bundledProductSpecification:BundledSpecification[]
    productNumber productSpecCharacteristic:ProductCharacteristic[]
    productSpecificationRelationship:Relationship[] resourceSpecification:Ref[]
    serviceSpecification:Ref[] targetProductSchema:TargetSchema

ServiceCatalog < Versioned Owned: category:Ref[]
ServiceCategory < Versioned: category:Ref[] isRoot:boolean parentId serviceCandidate:Ref[]
ServiceCandidate < Versioned: category:Ref[] serviceSpecification:Ref
ServiceRelationship < Relationship: relationshipType!
ServiceSpecification < Specification: constraint:Ref[] entitySpecRelationship:EntityRelationship[]
    featureSpecification:Feature[] resourceSpecification:Ref[] serviceLevelSpecification:Ref[]
    serviceSpecRelationship:ServiceRelationship[] specCharacteristic:CharacteristicSpecification[]
    targetEntitySchema:TargetSchema

ResourceCatalog < Versioned Owned: category:Ref[]
ResourceCategory < Versioned Owned: category:Ref[] isRoot:boolean parentId resourceCandidate:Ref[]
ResourceCandidate < Versioned: category:Ref[] resourceSpecification:Ref
ResourceCharacteristicRelationship < Named: characteristicSpecificationId relationshipType
    resourceSpecificationHref resourceSpecificationId
ResourceCharacteristic < CharacteristicRule:
    resourceSpecCharRelationship:ResourceCharacteristicRelationship[]
    resourceSpecCharacteristicValue:CharacteristicValue[]
ResourceRelationship < Relationship: characteristic:ResourceCharacteristic[]
    defaultQuantity:integer maximumQuantity:integer minimumQuantity:integer
ResourceSpecification < Specification: category featureSpecification:Feature[]
    resourceSpecCharacteristic:ResourceCharacteristic[]
    resourceSpecRelationship:ResourceRelationship[] targetResourceSchema:TargetSchema
LogicalResourceSpecification < ResourceSpecification:
PhysicalResourceSpecification < ResourceSpecification: model part sku vendor
GraphEndpoint < Ref: role isRoot:boolean connectionPointSpecification:Ref
GraphConnection: associationType! endpointSpecification:GraphEndpoint[+]! name
GraphRelationship: relationshipType resourceGraph:Ref
ResourceGraph: connectionSpecification:GraphConnection[+]! description name
    graphSpecificationRelationship:GraphRelationship[]
ResourceFunctionSpecification < ResourceSpecification: connectionPointSpecification:Ref[]
    connectivitySpecification:ResourceGraph[]
"""
