"""What may run: functions, versions, destinations."""
