//! A QR code in text: two rows of it in each line of half blocks.

use qrcode::render::unicode::Dense1x2;
use qrcode::{EcLevel, QrCode};

/// Draws a text as a QR code; `None` when it is too long for one. Light on dark, as most terminals are; cameras read
/// both ways round.
pub(super) fn draw(text: &str) -> Option<String> {
    let code = QrCode::with_error_correction_level(text, EcLevel::L).ok()?;
    let renderer = &mut code.render::<Dense1x2>();
    let drawn = renderer.dark_color(Dense1x2::Light).light_color(Dense1x2::Dark).quiet_zone(true);
    Some(drawn.build())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_is_a_square_of_half_blocks() {
        let url = "otpauth://totp/teleport.example.com:alice?secret=JBSWY3DPEHPK3PXP&issuer=x";
        let code = draw(url).unwrap();
        let lines: Vec<_> = code.lines().collect();
        let width = lines[0].chars().count();
        assert!(lines.iter().all(|line| line.chars().count() == width), "{code}");
        assert!((lines.len() * 2).abs_diff(width) <= 1 && width > 30, "{width} {}", lines.len());
        assert!(code.chars().all(|c| " █▀▄\n".contains(c)), "{code}");
        assert_eq!(draw(&"x".repeat(4_000)), None);
    }
}
