"""OTP supervision for pykka actors."""
