//! The one place that prints: data on stdout, talk on stderr.
//!
//! A pipe that nobody reads any more ends the command with success.

use std::io::{self, IsTerminal as _, Write};
use std::process::ExitCode;
use std::sync::{Arc, Mutex, PoisonError};

use crate::failure::Failure;

/// Where a command prints.
pub struct Output {
    data: Box<dyn Write + Send>,
    talk: Box<dyn Write + Send>,
    colour: Colour,
}

/// Whether the talk may be coloured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Colour {
    On,
    Off,
}

impl Output {
    /// The process's own stdout and stderr.
    #[must_use]
    pub fn of_process() -> Self {
        let colour = if io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none() {
            Colour::On
        } else {
            Colour::Off
        };
        Self { data: Box::new(io::stdout()), talk: Box::new(io::stderr()), colour }
    }

    /// An output that keeps what is printed: `(output, stdout, stderr)`. For tests.
    #[must_use]
    pub fn kept() -> (Self, Kept, Kept) {
        let (data, talk) = (Kept::default(), Kept::default());
        let output = Self {
            data: Box::new(data.clone()),
            talk: Box::new(talk.clone()),
            colour: Colour::Off,
        };
        (output, data, talk)
    }

    /// Prints a line (or several) of data.
    ///
    /// # Errors
    /// When stdout cannot be written; a closed pipe is a silent success.
    pub fn line(&mut self, text: impl AsRef<str>) -> Result<(), Failure> {
        self.text(format!("{}\n", text.as_ref()))
    }

    /// Prints data as it is.
    ///
    /// # Errors
    /// As [`Output::line`].
    pub fn text(&mut self, text: impl AsRef<str>) -> Result<(), Failure> {
        self.data.write_all(text.as_ref().as_bytes())?;
        self.data.flush()?;
        Ok(())
    }

    /// Says something that is not data. Nothing is lost when it cannot be said.
    pub fn say(&mut self, text: impl AsRef<str>) {
        let _ = writeln!(self.talk, "{}", text.as_ref()).and_then(|()| self.talk.flush());
    }

    /// Asks something: no line end, so that the answer stands beside it.
    pub fn ask(&mut self, text: impl AsRef<str>) {
        let _ = write!(self.talk, "{}", text.as_ref()).and_then(|()| self.talk.flush());
    }

    /// Warns of something that does not stop the command.
    pub fn warn(&mut self, text: impl AsRef<str>) {
        let text = text.as_ref();
        match self.colour {
            Colour::On => self.say(format!("\u{1b}[33mWARNING:\u{1b}[0m {text}")),
            Colour::Off => self.say(format!("WARNING: {text}")),
        }
    }

    /// Prints how a command ended and gives its exit code.
    pub fn end(&mut self, result: Result<(), Failure>) -> ExitCode {
        let Err(failure) = result else { return ExitCode::SUCCESS };
        if let Some(text) = failure.text() {
            let rest = text.strip_prefix("ERROR:").unwrap_or(&text);
            match self.colour {
                Colour::On => self.say(format!("\u{1b}[31mERROR:\u{1b}[0m{rest}")),
                Colour::Off => self.say(&text),
            }
        }
        ExitCode::from(failure.code())
    }
}

/// What an output of [`Output::kept`] has printed so far.
#[derive(Debug, Clone, Default)]
pub struct Kept(Arc<Mutex<Vec<u8>>>);

impl Kept {
    /// The text so far.
    #[must_use]
    pub fn text(&self) -> String {
        let bytes = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        String::from_utf8_lossy(&bytes).into_owned()
    }
}

impl Write for Kept {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn data_and_talk_are_kept_apart() {
        let (mut output, data, talk) = Output::kept();
        output.line("a").unwrap();
        output.warn("b");
        let code = output.end(Err(Failure::new("c").with_hint("d")));
        assert_eq!(data.text(), "a\n");
        assert_eq!(talk.text(), "WARNING: b\nERROR: c\n\nhint: d\n");
        assert_eq!(format!("{code:?}"), format!("{:?}", ExitCode::from(1)));
    }

    #[test]
    fn a_closed_pipe_ends_the_command_with_success() {
        struct Closed;
        impl Write for Closed {
            fn write(&mut self, _: &[u8]) -> io::Result<usize> {
                Err(io::ErrorKind::BrokenPipe.into())
            }
            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }
        let (mut output, _, talk) = Output::kept();
        output.data = Box::new(Closed);
        let ended = output.line("a");
        let code = output.end(ended);
        assert_eq!(format!("{code:?}"), format!("{:?}", ExitCode::SUCCESS));
        assert_eq!(talk.text(), "");
    }
}
