//! JSON in requests and responses. Mirrors `Response.json` of the fetch standard.

use super::ClientResponse;
use crate::client::{Error, ErrorKind, RequestBuilder};
use serde_core::Serialize;
use serde_core::de::DeserializeOwned;

impl ClientResponse {
    /// All that is not read yet as JSON, whatever `Content-Type` says.
    ///
    /// ```
    /// use http::client::{Client, Error};
    /// use std::collections::BTreeMap;
    ///
    /// async fn prices(client: Client) -> Result<BTreeMap<String, f64>, Error> {
    ///     client.get("http://shop.example/prices").await?.json(64 * 1024).await
    /// }
    /// ```
    ///
    /// # Errors
    /// `NotJson` if it is none, or not what a `T` is made of; as for [`bytes`](Self::bytes).
    pub async fn json<T: DeserializeOwned>(&mut self, limit: usize) -> Result<T, Error> {
        let body = self.bytes(limit).await?;
        serde_json::from_slice(&body).map_err(|error| Error::because(ErrorKind::NotJson, &error))
    }
}

impl RequestBuilder {
    /// Sets a value as JSON for the body, and `Content-Type`.
    ///
    /// The request fails with `NotJson` for a value that JSON cannot express.
    pub fn json(self, value: &(impl Serialize + ?Sized)) -> Self {
        match serde_json::to_vec(value) {
            Ok(text) => self.field("Content-Type", "application/json").body(text),
            Err(error) => self.try_with(|_| Err(Error::because(ErrorKind::NotJson, &error))),
        }
    }
}
