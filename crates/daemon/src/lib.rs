//! The teleport command: settings, start, stop.
