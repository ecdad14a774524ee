-- Health of an Offboarding for Argo CD: resource.customizations.health.offboard.dev_Offboarding in argocd-cm.
-- kstatus-compatible: status.observedGeneration + Ready/Reconciling/Stalled. Waiting for a person is Suspended; a leaver
-- whose last day is still ahead is Healthy.
local hs = { status = "Progressing", message = "Waiting for the offboarding controller" }
if obj.spec ~= nil and obj.spec.suspend == true then
  hs.status = "Suspended"
  hs.message = "Offboarding is suspended"
  return hs
end
if obj.status == nil or obj.status.conditions == nil then
  return hs
end
if obj.status.observedGeneration ~= nil and obj.metadata.generation ~= nil
    and obj.status.observedGeneration ~= obj.metadata.generation then
  hs.message = "Waiting for the spec change to be observed"
  return hs
end
local c = {}
for _, cond in ipairs(obj.status.conditions) do
  c[cond.type] = cond
end
if c.Stalled ~= nil and c.Stalled.status == "True" then
  hs.status = "Degraded"
  hs.message = c.Stalled.message
  return hs
end
if c.Ready ~= nil and c.Ready.status == "True" then
  hs.status = "Healthy"
  hs.message = c.Ready.message
  return hs
end
if c.Ready ~= nil then
  hs.message = c.Ready.message
  if c.Ready.reason == "AwaitingApproval" or c.Ready.reason == "AwaitingManualTask" then
    hs.status = "Suspended"
  end
end
return hs
