//! `tsh mfa ls`: the user's second factors.

use api::types::mfa::MfaDevice;
use clap::Args;
use jiff::Timestamp;

use crate::failure::Failure;
use crate::format::{self, Format};
use crate::output::Output;
use crate::table;
use crate::tsh::context::Context;

/// List your second factors
#[derive(Debug, Args)]
pub struct LsArgs {
    /// Show the ids too
    #[arg(short, long)]
    pub verbose: bool,
    /// Format of the output
    #[arg(short, long, value_enum, default_value_t)]
    pub format: Format,
}

/// Runs `tsh mfa ls`.
///
/// # Errors
/// When the cluster cannot be asked.
pub async fn run(args: &LsArgs, context: &Context, output: &mut Output) -> Result<(), Failure> {
    let login = context.valid_login()?;
    let devices = context.client(&login)?.mfa_devices().await?;
    match args.format {
        Format::Json => output.line(format::json(&devices)?),
        Format::Yaml => output.text(format::yaml(&devices)?),
        Format::Text => output.text(text(&devices, args.verbose)),
    }
}

fn text(devices: &[MfaDevice], is_verbose: bool) -> String {
    let mut header = vec!["Name", "Type", "Added at", "Last used"];
    if is_verbose {
        header.insert(0, "ID");
    }
    let row = |device: &MfaDevice| {
        let used = device.last_used.map_or_else(|| "never".to_owned(), rfc1123);
        let kind = device.kind.as_str().to_owned();
        let mut row = vec![device.name.clone(), kind, rfc1123(device.added), used];
        if is_verbose {
            row.insert(0, device.id.clone());
        }
        row
    };
    table::table(&header, &devices.iter().map(row).collect::<Vec<_>>())
}

fn rfc1123(moment: Timestamp) -> String {
    moment.strftime("%a, %d %b %Y %H:%M:%S UTC").to_string()
}

#[cfg(test)]
mod tests {
    use api::types::mfa::MfaKind;

    use super::*;

    #[test]
    fn devices_are_listed_with_their_dates() {
        let device = MfaDevice {
            id: "id-1".to_owned(),
            name: "phone".to_owned(),
            kind: MfaKind::Totp,
            added: Timestamp::from_second(1_704_103_200).unwrap(),
            last_used: None,
        };
        assert_eq!(
            text(std::slice::from_ref(&device), false),
            "Name   Type  Added at                       Last used\n\
             -----  ----  -----------------------------  ---------\n\
             phone  TOTP  Mon, 01 Jan 2024 10:00:00 UTC  never\n"
        );
        assert!(text(&[device], true).contains("id-1  phone"));
    }
}
