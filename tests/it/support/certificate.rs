//! A throwaway certificate authority and one server certificate, made with the `openssl` command.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use super::peer::run;

/// Where the files are. The key is readable for its owner only.
#[derive(Debug, Clone)]
pub struct Certificate {
    /// The authority's certificate, PEM.
    pub ca: PathBuf,
    /// The server's certificate, PEM.
    pub chain: PathBuf,
    /// The server's private key, PEM.
    pub key: PathBuf,
}

impl Certificate {
    /// Makes an authority in `folder` and a certificate signed by it for these names (`DNS:localhost,IP:127.0.0.1`).
    pub fn issue(folder: &Path, names: &str) -> Self {
        let path = |name: &str| folder.join(name);
        let extensions = path("server.ext");
        let text =
            format!("subjectAltName={names}\nextendedKeyUsage=serverAuth\nbasicConstraints=CA:FALSE\n");
        fs::write(&extensions, text).expect("the folder is ours");
        let key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"];
        let openssl = |arguments: &[&str]| {
            run(Command::new("openssl").current_dir(folder).args(arguments), "").expect_ok();
        };
        openssl(
            &[
                &["req", "-x509"][..],
                &key,
                &[
                    "-days",
                    "2",
                    "-subj",
                    "/CN=Test CA",
                    "-keyout",
                    "ca.key",
                    "-out",
                    "ca.pem",
                ],
            ]
            .concat(),
        );
        openssl(
            &[
                &["req"][..],
                &key,
                &[
                    "-subj",
                    "/CN=server",
                    "-keyout",
                    "server.key",
                    "-out",
                    "server.csr",
                ],
            ]
            .concat(),
        );
        openssl(&[
            "x509",
            "-req",
            "-in",
            "server.csr",
            "-CA",
            "ca.pem",
            "-CAkey",
            "ca.key",
            "-CAcreateserial",
            "-days",
            "2",
            "-extfile",
            "server.ext",
            "-out",
            "server.pem",
        ]);
        Self {
            ca: path("ca.pem"),
            chain: path("server.pem"),
            key: path("server.key"),
        }
    }

    /// The authority's certificate as PEM text.
    pub fn ca_pem(&self) -> String {
        fs::read_to_string(&self.ca).expect("the authority's certificate was written")
    }
}
