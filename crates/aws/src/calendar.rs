//! The two spellings of time that SigV4 knows.
