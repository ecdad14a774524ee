//! Tests against real servers and stateful simulators, in one binary so that it is linked once.

#![allow(
    clippy::pedantic,
    clippy::unwrap_used,
    reason = "tests are written to be read"
)]
// In a test, a panic is the report.

mod active_directory;
mod chart;
mod command_line;
mod crds_live;
mod demo;
mod driven;
mod drivers_ldap;
mod drivers_sql;
mod google_workspace;
mod keycloak;
mod kstatus;
mod leaver;
mod microsoft_365;
mod mysql;
mod openldap;
mod operator;
mod people;
mod postgresql;
mod relay;
mod salesforce;
mod scim;
mod support;
mod support_servers;
mod trial;
mod whole_story;
mod workday;
