//! `tsh mfa rm`: takes a second factor away, with a proof of one that is there.

use api::types::mfa::{DeviceRemoval, MfaDevice};
use clap::Args;

use crate::failure::Failure;
use crate::output::Output;
use crate::tsh::browser::Browser;
use crate::tsh::context::Context;
use crate::tsh::factor::Asker;

/// Remove a second factor
#[derive(Debug, Args)]
pub struct RmArgs {
    /// Name or id of the device
    pub device: String,
    /// With `none`, print the address of a page instead of opening it
    #[arg(long, value_enum)]
    pub browser: Option<Browser>,
}

/// Runs `tsh mfa rm`.
///
/// # Errors
/// When there is no such device, no factor is shown, or the cluster refuses.
pub async fn run(args: &RmArgs, context: &Context, output: &mut Output) -> Result<(), Failure> {
    let context = &context.with_browser(args.browser);
    let login = context.valid_login()?;
    let client = context.client(&login)?;
    let device = find(client.mfa_devices().await?, &args.device)?;
    let asker = Asker { context, login: &login, client: &client };
    let why = format!("MFA is required to remove the device \"{}\"", device.name);
    let proof = Box::pin(asker.prove(&why, output)).await?;
    client.remove_mfa_device(&device.id, &DeviceRemoval { proof }).await?;
    output.line(format!("MFA device \"{}\" removed.", device.name))
}

/// By id, or else by name.
fn find(devices: Vec<MfaDevice>, wanted: &str) -> Result<MfaDevice, Failure> {
    let by_id = devices.iter().position(|device| device.id == wanted);
    let place = by_id.or_else(|| devices.iter().position(|device| device.name == wanted));
    place.and_then(|place| devices.into_iter().nth(place)).ok_or_else(|| {
        Failure::new(format!("device \"{wanted}\" not found"))
            .with_hint("`tsh mfa ls` lists your devices")
    })
}
