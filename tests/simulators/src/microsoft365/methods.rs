//! Authentication methods: one list to read, one path per type to delete.

use serde_json::{Value, json};

use super::{
    calls::{Call, Reply, missing, refuse, unknown_path},
    odata,
};

/// The password cannot be deleted; its method has the same id everywhere.
const PASSWORD: &str = "28c10230-6103-485e-b985-444c60001490";

/// Types with the path below which v1.0 deletes them and the narrow permission for it. `hardwareOath` and
/// `qrCodePin` are listed but have none.
const TYPES: [(&str, &str, &str); 9] = [
    (
        "microsoftAuthenticator",
        "microsoftAuthenticatorMethods",
        "UserAuthMethod-MicrosoftAuthApp.ReadWrite.All",
    ),
    ("fido2", "fido2Methods", "UserAuthMethod-Passkey.ReadWrite.All"),
    ("phone", "phoneMethods", "UserAuthMethod-Phone.ReadWrite.All"),
    (
        "softwareOath",
        "softwareOathMethods",
        "UserAuthMethod-SoftwareOATH.ReadWrite.All",
    ),
    ("email", "emailMethods", "UserAuthMethod-Email.ReadWrite.All"),
    (
        "windowsHelloForBusiness",
        "windowsHelloForBusinessMethods",
        "UserAuthMethod-WindowsHello.ReadWrite.All",
    ),
    (
        "temporaryAccessPass",
        "temporaryAccessPassMethods",
        "UserAuthMethod-TAP.ReadWrite.All",
    ),
    (
        "platformCredential",
        "platformCredentialMethods",
        "UserAuthMethod-PlatformCred.ReadWrite.All",
    ),
    (
        "external",
        "externalAuthenticationMethods",
        "UserAuthMethod-External.ReadWrite.All",
    ),
];

pub(crate) fn serve(call: &Call<'_>, key: &str, path: &[&str]) -> Reply {
    let id = call.user(key)?;
    match (call.method, path) {
        ("GET", ["methods"]) => {
            call.needs(&[
                "UserAuthenticationMethod.Read.All",
                "UserAuthenticationMethod.ReadWrite.All",
            ])?;
            let mut all =
                vec![json!({"@odata.type": "#microsoft.graph.passwordAuthenticationMethod", "id": PASSWORD})];
            call.look(|tenant| {
                let methods = tenant.users.get(&id).map(|user| user.methods.as_slice()).unwrap_or_default();
                all.extend(methods.iter().map(|method| {

                    json!({"@odata.type": format!("#microsoft.graph.{}AuthenticationMethod", method.kind), "id": method.id})
                }));
            });
            odata::collection(call, all, &[])
        }
        ("DELETE", [below, method]) => {
            let (kind, _, narrow) = TYPES
                .iter()
                .find(|(_, path, _)| path == below)
                .ok_or_else(unknown_path)?;
            call.needs(&["UserAuthenticationMethod.ReadWrite.All", narrow])?;
            call.change(|tenant| {
                let user = tenant.users.get_mut(&id).ok_or_else(|| missing(&id))?;
                let at = user
                    .methods
                    .iter()
                    .position(|held| held.id == *method && held.kind == *kind)
                    .ok_or_else(|| refuse(404, "resourceNotFound", "The requested authentication method was not found."))?;
                if user.default_method.as_deref() == Some(*method) && user.methods.len() > 1 {
                    return Err(refuse(400, "badRequest", "Authentication Method is the user's current default authentication method, and cannot be deleted until the default authentication method is changed."));
                }
                user.methods.remove(at);
                Ok(Value::Null)
            })
        }
        _ => Err(unknown_path()),
    }
}
