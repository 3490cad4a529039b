//! What the Proxy Service promises, seen from outside: a stand-in for the Auth
//! Service behind it, agents and clients with real certificates before it.

#[cfg(test)]
mod browser;
#[cfg(test)]
mod cluster;
#[cfg(test)]
mod hardening;
#[cfg(test)]
mod invites;
#[cfg(test)]
mod lanes;
#[cfg(test)]
mod pages;
#[cfg(test)]
mod people;
#[cfg(test)]
mod roads;
#[cfg(test)]
mod signed_in;
#[cfg(test)]
mod speed;
#[cfg(test)]
mod stand_in;
#[cfg(test)]
mod web;
