//! Opening what tenants keep sealed, for services of the operator: never a route, and each opening is audited.
