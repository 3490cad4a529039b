//! Random numbers for spreading retries; nothing secret depends on them.

/// A fresh number from 0 to 1.
pub(crate) fn chance() -> f64 {
    let (high, _) = uuid::Uuid::new_v4().as_u64_pair();
    f64::from((high >> 32) as u32) / f64::from(u32::MAX)
}
