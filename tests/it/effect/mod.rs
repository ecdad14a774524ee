//! A flag is not its effect: what a definition calls done, tried as the leaver would.

mod active_directory;
mod keycloak;
mod mysql;
