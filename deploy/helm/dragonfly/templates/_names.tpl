{{/* Names, labels, images: what an object is called. */}}

{{- define "dragonfly.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 50 | trimSuffix "-" -}}
{{- else -}}
{{- $name := default .Chart.Name .Values.nameOverride -}}
{{- if contains $name .Release.Name -}}
{{- .Release.Name | trunc 50 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name $name | trunc 50 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{- define "dragonfly.namespace" -}}
{{- default .Release.Namespace .Values.namespaceOverride -}}
{{- end -}}

{{/* The name of a component's objects. Of: root, values. */}}
{{- define "dragonfly.name" -}}
{{- if .values.fullnameOverride -}}
{{- .values.fullnameOverride -}}
{{- else -}}
{{- printf "%s-%s" (include "dragonfly.fullname" .root) (default .values.name .values.nameOverride) -}}
{{- end -}}
{{- end -}}

{{/* A service's name from anywhere in the Kubernetes cluster. Of: root, name. */}}
{{- define "dragonfly.host" -}}
{{- printf "%s.%s.svc.%s" .name (include "dragonfly.namespace" .root) .root.Values.clusterDomain -}}
{{- end -}}

{{/* What selects a component's pods. Of: root, component. */}}
{{- define "dragonfly.selector" -}}
app: {{ default .root.Chart.Name .root.Values.nameOverride }}
release: {{ .root.Release.Name }}
component: {{ .component }}
{{- end -}}

{{/* Labels of an object. Of: root, component. */}}
{{- define "dragonfly.labels" -}}
{{ include "dragonfly.selector" . }}
chart: {{ printf "%s-%s" .root.Chart.Name .root.Chart.Version }}
heritage: {{ .root.Release.Service }}
{{- end -}}

{{/* An image by its parts. Of: root, image (repository, registry, tag, digest). */}}
{{- define "dragonfly.imageName" -}}
{{- $registry := .image.registry | default .root.Values.global.imageRegistry -}}
{{- $name := .image.repository -}}
{{- if $registry }}{{ $name = printf "%s/%s" $registry $name }}{{ end -}}
{{- if .image.digest -}}
{{- printf "%s@%s" $name .image.digest -}}
{{- else -}}
{{- printf "%s:%s" $name (.image.tag | default .root.Chart.AppVersion | toString) -}}
{{- end -}}
{{- end -}}

{{- define "dragonfly.pullSecrets" -}}
{{- $secrets := concat (.root.Values.global.imagePullSecrets | default list) (.values.pullSecrets | default list) -}}
{{- with $secrets }}
imagePullSecrets:
{{- range . }}
  - name: {{ if kindIs "map" . }}{{ .name }}{{ else }}{{ . }}{{ end }}
{{- end }}
{{- end }}
{{- end -}}
