{{/* The files of the links to the manager, as the programs name them; empty without tls. */}}
{{- define "dragonfly.tls" -}}
{{- if .Values.tls.enable -}}
{{- toYaml (dict "caCert" "/etc/dragonfly-tls/ca.crt" "cert" "/etc/dragonfly-tls/tls.crt" "key" "/etc/dragonfly-tls/tls.key") -}}
{{- end -}}
{{- end -}}

{{/* The programs' files. What values say under "config" stands above what is written here. */}}

{{- define "dragonfly.managerConfig" -}}
{{- $database := dict "startTimeout" "10m" -}}
{{- if include "dragonfly.hasMysql" . -}}
{{- $host := include "dragonfly.host" (dict "root" . "name" (printf "%s-mysql" .Release.Name)) -}}
{{- $auth := .Values.mysql.auth -}}
{{- $_ := set $database "mysql" (dict "host" $host "port" 3306 "user" $auth.username "password" (include "dragonfly.mysqlPassword" .) "dbname" $auth.database) -}}
{{- else if and .Values.externalMysql.host (not .Values.standalone) -}}
{{- $mysql := .Values.externalMysql -}}
{{- $_ := set $database "mysql" (dict "host" $mysql.host "port" $mysql.port "user" $mysql.username "password" $mysql.password "dbname" $mysql.database) -}}
{{- end -}}
{{- if include "dragonfly.hasRedis" . -}}
{{- $host := include "dragonfly.host" (dict "root" . "name" (printf "%s-redis-master" .Release.Name)) -}}
{{- $_ := set $database "redis" (dict "addrs" (list (printf "%s:6379" $host)) "password" (include "dragonfly.redisPassword" .)) -}}
{{- else if and .Values.externalRedis.addrs (not .Values.standalone) -}}
{{- $redis := dict -}}
{{- range $key, $value := omit .Values.externalRedis "brokerDB" "backendDB" -}}
{{- if $value }}{{ $_ := set $redis $key $value }}{{ end -}}
{{- end -}}
{{- $_ := set $database "redis" $redis -}}
{{- end -}}
{{- $base := dict
  "server" (dict "dataDir" "/var/lib/dragonfly"
    "grpc" (dict "port" (dict "start" .Values.manager.grpcPort))
    "rest" (dict "addr" (printf ":%d" (int .Values.manager.restPort))))
  "database" $database
  "metrics" (dict "enable" .Values.manager.metrics.enable "addr" ":8000") -}}
{{- with include "dragonfly.tls" . }}{{ $_ := set $base.server.grpc "tls" (fromYaml .) }}{{ end -}}
{{- with include "dragonfly.tracing" . }}{{ $_ := set $base "tracing" (fromYaml .) }}{{ end -}}
{{- toYaml (mergeOverwrite $base (deepCopy (omit (.Values.manager.config | default dict) "jaeger"))) -}}
{{- end -}}

{{- define "dragonfly.schedulerConfig" -}}
{{- $base := dict
  "server" (dict "port" .Values.scheduler.containerPort "dataDir" "/var/lib/dragonfly")
  "manager" (dict "addr" (include "dragonfly.managerAddr" .) "schedulerClusterID" 1)
  "metrics" (dict "enable" .Values.scheduler.metrics.enable "addr" ":8000") -}}
{{- with include "dragonfly.tls" . }}{{ $_ := set $base.manager "tls" (fromYaml .) }}{{ end -}}
{{- with include "dragonfly.tracing" . }}{{ $_ := set $base "tracing" (fromYaml .) }}{{ end -}}
{{- toYaml (mergeOverwrite $base (deepCopy (omit (.Values.scheduler.config | default dict) "jaeger"))) -}}
{{- end -}}

{{/* dfdaemon.yaml of peers or seed peers. Of: root, values; loopback: its proxy serves the host only. */}}
{{- define "dragonfly.peerConfig" -}}
{{- $base := dict "storage" (dict "dir" "/var/lib/dragonfly/") -}}
{{- if .loopback }}{{ $_ := set $base "proxy" (dict "server" (dict "ip" "127.0.0.1")) }}{{ end -}}
{{- with include "dragonfly.managerAddr" .root }}{{ $_ := set $base "manager" (dict "addr" (printf "http://%s" .)) }}{{ end -}}
{{- with include "dragonfly.tls" .root }}{{ $_ := set $base "manager" (merge (fromYaml .) ($base.manager | default dict)) }}{{ end -}}
{{- with include "dragonfly.tracing" .root }}{{ $_ := set $base "tracing" (fromYaml .) }}{{ end -}}
{{- toYaml (mergeOverwrite $base (deepCopy (omit (.values.config | default dict) "log" "console"))) -}}
{{- end -}}

{{/* The kind of object that holds a peer's file: one with credentials is a Secret. Of: values. */}}
{{- define "dragonfly.peerConfigKind" -}}
{{- $config := .values.config | default dict -}}
{{- if or (dig "proxy" "server" "basicAuth" "" $config) (dig "backend" "requestHeader" "" $config) -}}
Secret
{{- else -}}
ConfigMap
{{- end -}}
{{- end -}}
