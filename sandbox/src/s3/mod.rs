//! placeholder
use std::path::PathBuf;
use http::Response;
use crate::answer::Body;
use crate::door::Call;
use crate::journal::Entry;
use crate::world::World;
#[derive(Debug)]
pub struct Shelf;
impl Shelf {
    pub fn open(_dir: Option<PathBuf>) -> anyhow::Result<Self> { Ok(Self) }
    pub fn clear(&self) {}
}
pub async fn answer(_w: &World, _c: Call, _e: &mut Entry) -> Response<Body> { crate::door::empty(http::StatusCode::NOT_IMPLEMENTED) }
