//! The results of the tests.

use std::{error::Error, fmt::Debug, process::ExitCode};

/// Ok, or the reason why a test failed.
pub type Outcome = Result<(), Box<dyn Error>>;

/// Counts tests, and prints the result of each.
#[derive(Default)]
pub struct Report {
    passed: u32,
    failed: u32,
}

impl Report {
    /// Runs a test.
    pub async fn test(&mut self, name: &str, test: impl Future<Output = Outcome>) {
        match test.await {
            Ok(()) => {
                self.passed += 1;
                println!("pass: {name}");
            }
            Err(error) => {
                self.failed += 1;
                println!("FAIL: {name}: {error}");
            }
        }
    }

    /// Returns success if at least one test ran and all passed.
    pub fn exit_code(&self) -> ExitCode {
        println!("{} passed, {} failed", self.passed, self.failed);
        ExitCode::from(u8::from(self.failed > 0 || self.passed == 0))
    }
}

/// Fails unless both values are equal.
pub fn same<T: PartialEq + Debug>(got: T, expected: T) -> Outcome {
    if got == expected {
        return Ok(());
    }
    Err(format!("got {got:?} for {expected:?}").into())
}
