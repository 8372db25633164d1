"""Pictures from strangers, on the way to becoming training pictures; for the intake stage alone."""
