"""One way of measuring a running network each; none starts or ends it."""
