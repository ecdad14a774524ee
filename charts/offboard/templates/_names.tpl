{{/* The name of everything that belongs to this release. */}}
{{- define "offboard.name" -}}
{{- if contains "offboard" .Release.Name -}}
{{- .Release.Name | trunc 52 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-offboard" .Release.Name | trunc 52 | trimSuffix "-" -}}
{{- end -}}
{{- end }}

{{- define "offboard.serviceAccount" -}}
{{- if .Values.serviceAccount.create -}}
{{- default (include "offboard.name" .) .Values.serviceAccount.name -}}
{{- else -}}
{{- default "default" .Values.serviceAccount.name -}}
{{- end -}}
{{- end }}

{{/* What selects the pods; must never change between versions. */}}
{{- define "offboard.selector" -}}
app.kubernetes.io/name: offboard
app.kubernetes.io/instance: {{ .Release.Name | quote }}
{{- end }}

{{- define "offboard.labels" -}}
{{ include "offboard.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service | quote }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" | quote }}
{{- with .Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{/* The watched namespaces, as JSON: {"names": […]}. */}}
{{- define "offboard.namespaces" -}}
{{- dict "names" (default (list .Release.Namespace) .Values.watchNamespaces) | toJson -}}
{{- end }}
