//! A stand-in for bindgen in the build script of libuv-sys2: it makes no bindings, so that building libuv takes a C
//! compiler only, and tells the crates that link libuv where its headers are.

#![forbid(unsafe_code)]

use std::fmt;
use std::path::Path;

/// bindgen's builder, as far as libuv-sys2 calls it.
#[derive(Debug, Default)]
pub struct Builder;

impl Builder {
    /// Nothing to choose.
    #[must_use]
    pub fn use_core(self) -> Self {
        self
    }

    /// Prints the absolute path of the header's folder as cargo metadata; with `links = "uv"` a dependent's build
    /// script finds it in `DEP_UV_HEADERS`.
    #[must_use]
    pub fn header(self, path: impl AsRef<str>) -> Self {
        // A path that cannot be made absolute leaves the variable out, and the dependent reports that.
        if let Some(folder) = Path::new(path.as_ref()).parent().and_then(|folder| folder.canonicalize().ok())
        {
            println!("cargo:headers={}", folder.display());
        }
        self
    }

    /// Nothing to parse.
    #[must_use]
    pub fn clang_arg(self, _: impl AsRef<str>) -> Self {
        self
    }

    /// Nothing to select.
    #[must_use]
    pub fn allowlist_item(self, _: impl AsRef<str>) -> Self {
        self
    }

    /// Makes the empty bindings.
    ///
    /// # Errors
    ///
    /// Never.
    pub fn generate(self) -> Result<Bindings, fmt::Error> {
        Ok(Bindings)
    }
}

/// No bindings: an empty file.
#[derive(Debug)]
pub struct Bindings;

impl fmt::Display for Bindings {
    fn fmt(&self, _: &mut fmt::Formatter<'_>) -> fmt::Result {
        Ok(())
    }
}
