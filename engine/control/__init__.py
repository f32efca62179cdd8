"""What people change while events flow: functions, destinations, settings, sources, keys. Checks, then one transaction."""
