"""The PhysioNet/Computing in Cardiology Challenge 2012: files, records, features."""
