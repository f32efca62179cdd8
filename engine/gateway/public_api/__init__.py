"""The shapes of Segment's Public API for functions, versions, deployments, instances and preview, so that its SDKs work here."""
