//! Tests against real servers and stateful simulators, in one binary so that it is linked once.

#![allow(
    clippy::disallowed_macros,
    clippy::disallowed_types,
    clippy::pedantic,
    clippy::unwrap_used,
    reason = "tests are written to be read"
)]
// In a test, a panic is the report.

mod acceptance;
mod active_directory;
mod approvals;
mod chart;
mod command_line;
mod crds_live;
mod csv_sftp;
mod demo;
mod directories;
mod driven;
mod drivers_ldap;
mod drivers_sftp;
mod drivers_sql;
mod effect;
mod google_workspace;
mod keycloak;
mod kstatus;
mod leaver;
mod managers;
mod microsoft_365;
mod mysql;
mod notify;
mod openldap;
mod operator;
mod payroll_file;
mod people;
mod postgresql;
mod reinstated;
mod relay;
mod safeguards;
mod salesforce;
mod scenarios;
mod scim;
mod sources;
mod support;
mod support_servers;
mod trial;
mod trust;
mod without_api;
mod workday;
