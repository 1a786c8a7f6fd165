{{/*
Passwords that nobody chose: random at the first installation, kept by every upgrade. A render remembers what it chose, since
several objects need the same.
*/}}

{{/* Of: root, given, secret, key. */}}
{{- define "dragonfly.password" -}}
{{- if .given -}}
{{- .given -}}
{{- else -}}
{{- $chosen := .root.Values.global -}}
{{- $name := printf "chosen/%s/%s" .secret .key -}}
{{- if not (hasKey $chosen $name) -}}
{{- $kept := lookup "v1" "Secret" (include "dragonfly.namespace" .root) .secret -}}
{{- $data := dig "data" dict ($kept | default dict) -}}
{{- $_ := set $chosen $name (hasKey $data .key | ternary (index $data .key | default "" | b64dec) (randAlphaNum 24)) -}}
{{- end -}}
{{- index $chosen $name -}}
{{- end -}}
{{- end -}}

{{- define "dragonfly.mysqlPassword" -}}
{{- include "dragonfly.password" (dict "root" . "given" .Values.mysql.auth.password "secret" (printf "%s-mysql" .Release.Name) "key" "password") -}}
{{- end -}}
{{- define "dragonfly.mysqlRootPassword" -}}
{{- include "dragonfly.password" (dict "root" . "given" .Values.mysql.auth.rootPassword "secret" (printf "%s-mysql" .Release.Name) "key" "root-password") -}}
{{- end -}}
{{- define "dragonfly.redisPassword" -}}
{{- include "dragonfly.password" (dict "root" . "given" .Values.redis.auth.password "secret" (printf "%s-redis" .Release.Name) "key" "password") -}}
{{- end -}}
