{{/* What peers and seed peers have in common. */}}

{{/* The port of a server in dfdaemon.yaml. Of: config, path (keys), default. */}}
{{- define "dragonfly.port" -}}
{{- $at := .config | default dict -}}
{{- range .path -}}
{{- $at = index ($at | default dict) . -}}
{{- end -}}
{{- int ($at | default .default) -}}
{{- end -}}

{{/* Ports of the container; the proxy's is the first, which the notes after an installation read. Of: values, hostPort. */}}
{{- define "dragonfly.peerPorts" -}}
{{- $config := .values.config -}}
- name: proxy
  containerPort: {{ include "dragonfly.port" (dict "config" $config "path" (list "proxy" "server" "port") "default" 4001) }}
  {{- with .hostPort }}
  hostPort: {{ . }}
  {{- end }}
  protocol: TCP
- name: grpc
  containerPort: {{ include "dragonfly.port" (dict "config" $config "path" (list "upload" "server" "port") "default" 4000) }}
  protocol: TCP
- name: pieces
  containerPort: {{ include "dragonfly.port" (dict "config" $config "path" (list "storage" "server" "tcpPort") "default" 4005) }}
  protocol: TCP
- name: health
  containerPort: {{ include "dragonfly.port" (dict "config" $config "path" (list "health" "server" "port") "default" 4003) }}
  protocol: TCP
- name: metrics
  containerPort: {{ include "dragonfly.port" (dict "config" $config "path" (list "metrics" "server" "port") "default" 4002) }}
  protocol: TCP
{{- end -}}

{{/* Where the pieces lie. Of: values. */}}
{{- define "dragonfly.peerDir" -}}
{{- dig "storage" "dir" "/var/lib/dragonfly/" (.values.config | default dict) -}}
{{- end -}}

{{/* Where the socket of local tools lies. Of: values. */}}
{{- define "dragonfly.socketDir" -}}
{{- dig "download" "server" "socketPath" "/var/run/dragonfly/dfdaemon.sock" (.values.config | default dict) | dir -}}
{{- end -}}
