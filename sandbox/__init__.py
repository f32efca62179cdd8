"""What runs inside the jail. Imports nothing from `engine`; `engine` imports only `sandbox.wire`."""
