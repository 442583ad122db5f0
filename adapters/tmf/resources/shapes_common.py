"""Shapes that several APIs use, in the notation of ``notation.py``.

A shape's line is its name, ``<`` and the shapes it has the attributes of, a colon, attributes.
``Ref`` stands for all references: the definitions give each its own name, not its own meaning.
"""

from typing import Final

__all__ = ["COMMON"]

COMMON: Final = """
Ref: id! name version
RelatedParty: id! @referredType! name role
TimePeriod: startDateTime:time endDateTime:time
Named: name validFor:TimePeriod
Quantity: amount:number units
Money: unit value:number
TargetSchema: @type! @schemaLocation!
Attachment < Named: attachmentType content description mimeType size:Quantity url
Relationship < Named: relationshipType role
Characteristic: name! value:any! valueType characteristicRelationship:Relationship[]

Versioned < Named: description lastUpdate:time lifecycleStatus version
Owned: relatedParty:RelatedParty[]
Specification < Versioned Owned: attachment:Attachment[] isBundle:boolean

CharacteristicRule < Named: configurable:boolean description extensible:boolean isUnique:boolean
    maxCardinality:integer minCardinality:integer regex valueType
CharacteristicValue: isDefault:boolean rangeInterval regex unitOfMeasure validFor:TimePeriod
    value:any valueFrom:number valueTo:number valueType
CharacteristicRelationship < Named: characteristicSpecificationId parentSpecificationHref
    parentSpecificationId relationshipType
CharacteristicSpecification < CharacteristicRule:
    charSpecRelationship:CharacteristicRelationship[]
    characteristicValueSpecification:CharacteristicValue[]
EntityRelationship < Named: relationshipType! role associationSpec:Ref

FeatureCharacteristicRelationship < Named: characteristicId featureId relationshipType
    resourceSpecificationHref resourceSpecificationId
FeatureCharacteristic < CharacteristicRule: name!
    featureSpecCharRelationship:FeatureCharacteristicRelationship[]
    featureSpecCharacteristicValue:CharacteristicValue[]
FeatureRelationship < Named: name! relationshipType! featureId parentSpecificationHref
    parentSpecificationId
Feature < Named: isBundle:boolean isEnabled:boolean version constraint:Ref[]
    featureSpecCharacteristic:FeatureCharacteristic[] featureSpecRelationship:FeatureRelationship[]

ImportJob: completionDate:time contentType creationDate:time errorLog path status=JobState url
ExportJob < ImportJob: query

JobState = Not Started | Running | Succeeded | Failed
"""
