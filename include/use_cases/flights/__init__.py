"""Use case `flights`: will this flight from New York arrive more than 15 minutes late?"""
