//! A QR code as one path of an SVG.

use std::fmt::Write as _;

use qrcode::{Color, EcLevel, QrCode};

/// White modules around the code that scanners need.
const MARGIN: usize = 4;

/// What the page draws: a square of `side` units and a path of black modules.
pub(crate) struct QrPath {
    pub(crate) side: usize,
    pub(crate) path: String,
}

/// Draws `text`; `None` if it is too long for any code.
pub(crate) fn draw(text: &str) -> Option<QrPath> {
    let code = QrCode::with_error_correction_level(text, EcLevel::M).ok()?;
    let width = code.width();
    let mut path = String::new();
    for (row, modules) in code.to_colors().chunks(width).enumerate() {
        let mut column = 0;
        for run in modules.chunk_by(|one, next| one == next) {
            if run.first() == Some(&Color::Dark) {
                let (x, y, length) = (column + MARGIN, row + MARGIN, run.len());
                let _ = write!(path, "M{x} {y}h{length}v1h-{length}z");
            }
            column += run.len();
        }
    }
    Some(QrPath { side: width + 2 * MARGIN, path })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_has_its_finder_patterns_and_its_margin() {
        let drawn = draw("otpauth://totp/Causeway:alice?secret=JBSWY3DPEHPK3PXP").unwrap();
        assert!(drawn.path.starts_with("M4 4h7v1h-7z"), "{}", drawn.path);
        assert!(drawn.side > 2 * MARGIN + 21);
    }

    #[test]
    fn what_no_code_can_hold_is_not_drawn() {
        assert!(draw(&"x".repeat(10_000)).is_none());
    }
}
