"""TMF630's query language: parsed once into one value, which the store answers. Pure."""
