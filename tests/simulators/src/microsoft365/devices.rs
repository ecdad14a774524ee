//! Devices in the directory and under management.

use serde_json::{Value, json};

use super::{
    calls::{Call, Reply, bad_request, missing, refuse, unknown_path},
    odata,
    state::Device,
};

/// How often a retired device is looked at before it is gone.
const RETIRE_POLLS: u32 = 2;

pub(crate) fn of_user(call: &Call<'_>, key: &str) -> Reply {
    call.needs(&[
        "User.Read.All",
        "User.ReadWrite.All",
        "Directory.Read.All",
        "Directory.ReadWrite.All",
    ])?;
    let id = call.user(key)?;
    let all = call.look(|tenant| {
        tenant
            .devices
            .values()
            .filter(|device| device.owner == id)
            .map(show)
            .collect()
    });
    odata::collection(call, all, &[])
}

pub(crate) fn serve(call: &Call<'_>, path: &[&str]) -> Reply {
    match (call.method, path) {
        ("GET", [id]) => {
            call.needs(&["Device.Read.All", "Device.ReadWrite.All", "Directory.Read.All"])?;
            let device = call
                .look(|tenant| tenant.devices.get(*id).map(show))
                .ok_or_else(|| missing(id))?;
            odata::select(call, device, &[])
        }
        ("PATCH", [id]) => {
            call.needs(&["Device.ReadWrite.All", "Directory.ReadWrite.All"])?;
            let enabled = call.body["accountEnabled"]
                .as_bool()
                .ok_or_else(|| bad_request("Invalid property."))?;
            call.change(|tenant| {
                tenant.devices.get_mut(*id).ok_or_else(|| missing(id))?.enabled = enabled;
                Ok(Value::Null)
            })
        }
        _ => Err(unknown_path()),
    }
}

fn show(device: &Device) -> Value {
    json!({
        "@odata.type": "#microsoft.graph.device",
        "id": device.id,
        "deviceId": device.id,
        "displayName": device.name,
        "accountEnabled": device.enabled,
    })
}

/// Managed devices; a retired one passes through `retirePending` and `retireIssued` and is then gone.
pub(crate) fn managed(call: &Call<'_>, path: &[&str]) -> Reply {
    let read = [
        "DeviceManagementManagedDevices.Read.All",
        "DeviceManagementManagedDevices.ReadWrite.All",
    ];
    match (call.method, path) {
        ("GET", []) => {
            call.needs(&read)?;
            call.shared.world.seed(|tenant| {
                for device in tenant
                    .managed
                    .values_mut()
                    .filter(|device| device.state != "managed")
                {
                    device.polls += 1;
                    device.state = device.state.replace("Pending", "Issued");
                }
                tenant
                    .managed
                    .retain(|_, device| device.state == "managed" || device.polls <= RETIRE_POLLS);
            });
            let all = call.look(|tenant| {
                let shown = tenant.managed.values().map(|device| {
                    json!({
                        "id": device.id,
                        "userId": device.user,
                        "deviceName": device.name,
                        "managementState": device.state,
                        "deviceActionResults": [],
                    })
                });
                shown.collect()
            });
            odata::collection(call, all, &[])
        }
        ("POST", [id, action @ ("retire" | "wipe")]) => {
            if *action == "retire" {
                call.needs(&["DeviceManagementManagedDevices.PrivilegedOperations.All"])?;
            } else {
                call.needs(&[
                    "DeviceManagementManagedDevices.ReadWrite.All",
                    "DeviceManagementManagedDevices.PrivilegedOperations.All",
                ])?;
            }
            call.change(|tenant| {
                let device = tenant
                    .managed
                    .get_mut(*id)
                    .ok_or_else(|| refuse(404, "ResourceNotFound", "Device not found"))?;
                device.state = format!("{action}Pending");
                device.polls = 0;
                Ok(Value::Null)
            })
        }
        _ => Err(unknown_path()),
    }
}
