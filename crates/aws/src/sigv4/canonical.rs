//! The canonical request, for both directions.
