"""Libraries that functions may import where the operator allows it: a module each, with `MODULES`, what of it is visible."""
