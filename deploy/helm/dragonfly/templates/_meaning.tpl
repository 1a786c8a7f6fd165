{{/*
What values mean. The charts of 2023 and those of today say the same things with different keys; from here on there is one
way to say each: a component's values in today's keys, its "config" in those of the program's file.
*/}}

{{/* The image and when it is pulled. Of: root, values. An image is a string (with "tag" beside it) or a map. */}}
{{- define "dragonfly.image" -}}
{{- $ours := .root.Values.global.image -}}
{{- $image := .values.image | default dict -}}
{{- if kindIs "string" $image -}}
{{- $image = dict "repository" $image "tag" (.values.tag | default "") "pullPolicy" (.values.pullPolicy | default "") -}}
{{- end -}}
{{- $upstreams := hasPrefix "dragonflyoss/" (trimPrefix "docker.io/" ($image.repository | default "")) -}}
{{- if or (not $image.repository) (and $upstreams (not .root.Values.global.keepImages)) -}}
{{- $image = dict "repository" $ours.repository "tag" $ours.tag "digest" $ours.digest "pullPolicy" ($image.pullPolicy | default $ours.pullPolicy) -}}
{{- end -}}
image: {{ include "dragonfly.imageName" (dict "root" .root "image" $image) }}
imagePullPolicy: {{ $image.pullPolicy | default $ours.pullPolicy }}
{{- end -}}

{{/* The seed peers' values: seedClient, with seedPeer over it. */}}
{{- define "dragonfly.seed" -}}
{{- $values := deepCopy .Values.seedClient -}}
{{- with .Values.seedPeer -}}
{{- $_ := set $values "name" "seed-peer" -}}
{{- $values = mergeOverwrite $values (deepCopy (omit . "config")) (dict "config" (fromYaml (include "dragonfly.configOf2023" .))) -}}
{{- end -}}
{{- $cluster := dig "host" "schedulerClusterID" 1 $values.config -}}
{{- $_ := set $values.config "seedPeer" (merge ($values.config.seedPeer | default dict) (dict "enable" true "type" "super" "clusterID" $cluster)) -}}
{{- toYaml $values -}}
{{- end -}}

{{/* The peers' values: client, with dfdaemon over it. */}}
{{- define "dragonfly.peer" -}}
{{- $values := deepCopy .Values.client -}}
{{- with .Values.dfdaemon -}}
{{- $_ := set $values "name" "dfdaemon" -}}
{{- $values = mergeOverwrite $values (deepCopy (omit . "config")) (dict "config" (fromYaml (include "dragonfly.configOf2023" .))) -}}
{{- end -}}
{{- toYaml $values -}}
{{- end -}}

{{/* dfdaemon.yaml of a component with the keys of 2023. */}}
{{- define "dragonfly.configOf2023" -}}
{{- $old := .config | default dict -}}
{{- $new := pick $old "verbose" "pprofPort" "host" "network" -}}
{{- $manager := dig "scheduler" "manager" dict $old -}}
{{- with $manager.netAddrs -}}
{{- $_ := set $new "manager" (dict "addr" (first .).addr) -}}
{{- end -}}
{{- with $manager.refreshInterval -}}
{{- $_ := set $new "dynconfig" (dict "refreshInterval" .) -}}
{{- end -}}
{{- with $manager.seedPeer -}}
{{- $_ := set $new "seedPeer" (pick . "enable" "type" "clusterID") -}}
{{- end -}}
{{- $scheduler := dict -}}
{{- range dig "scheduler" "netAddrs" list $old -}}
{{- $_ := set $scheduler "addrs" (append ($scheduler.addrs | default list) .addr) -}}
{{- end -}}
{{- with dig "scheduler" "scheduleTimeout" "" $old -}}
{{- $_ := set $scheduler "scheduleTimeout" . -}}
{{- end -}}
{{- with dig "announcer" "schedulerInterval" "" $old -}}
{{- $_ := set $scheduler "announceInterval" . -}}
{{- end -}}
{{- if $scheduler -}}
{{- $_ := set $new "scheduler" $scheduler -}}
{{- end -}}
{{- with dig "download" "totalRateLimit" "" $old -}}
{{- $_ := set $new "download" (dict "bandwidthLimit" .) -}}
{{- end -}}
{{- with dig "download" "downloadGRPC" "unixListen" "socket" "" $old -}}
{{- $_ := set $new "download" (merge (dict "server" (dict "socketPath" .)) ($new.download | default dict)) -}}
{{- end -}}
{{- $upload := dict -}}
{{- with dig "upload" "rateLimit" "" $old -}}
{{- $_ := set $upload "bandwidthLimit" . -}}
{{- end -}}
{{- with dig "download" "peerGRPC" "tcpListen" "port" 0 $old -}}
{{- $_ := set $upload "server" (dict "port" .) -}}
{{- end -}}
{{- if $upload -}}
{{- $_ := set $new "upload" $upload -}}
{{- end -}}
{{- $storage := dict -}}
{{- if hasKey $old "keepStorage" -}}
{{- $_ := set $storage "keep" $old.keepStorage -}}
{{- end -}}
{{- with $old.dataDir -}}
{{- $_ := set $storage "dir" . -}}
{{- end -}}
{{- with dig "upload" "tcpListen" "port" 0 $old -}}
{{- $_ := set $storage "server" (dict "tcpPort" .) -}}
{{- end -}}
{{- if $storage -}}
{{- $_ := set $new "storage" $storage -}}
{{- end -}}
{{- $policy := dict -}}
{{- with dig "storage" "taskExpireTime" "" $old -}}
{{- $_ := set $policy "taskTTL" . -}}
{{- end -}}
{{- with dig "storage" "diskGCThreshold" "" $old -}}
{{- $_ := set $policy "diskThreshold" . -}}
{{- end -}}
{{- with dig "storage" "diskGCThresholdPercent" 0 $old -}}
{{- $_ := set $policy "diskHighThresholdPercent" . -}}
{{- $_ := set $policy "diskLowThresholdPercent" (max 1 (sub (int .) 20)) -}}
{{- end -}}
{{- if or $policy $old.gcInterval -}}
{{- $_ := set $new "gc" (dict "policy" $policy) -}}
{{- with $old.gcInterval -}}
{{- $_ := set $new.gc "interval" . -}}
{{- end -}}
{{- end -}}
{{- with dig "health" "tcpListen" "port" 0 $old -}}
{{- $_ := set $new "health" (dict "server" (dict "port" .)) -}}
{{- end -}}
{{- $proxy := dict -}}
{{- with .containerPort | default (dig "proxy" "tcpListen" "port" 0 $old) -}}
{{- $_ := set $proxy "server" (dict "port" .) -}}
{{- end -}}
{{- with dig "proxy" "registryMirror" "url" "" $old -}}
{{- $_ := set $proxy "registryMirror" (dict "addr" .) -}}
{{- end -}}
{{- range dig "proxy" "proxies" list $old -}}
{{- if .direct -}}
{{- fail (printf "config.proxy.proxies: the rule %q says direct: what matches no rule is direct, so leave it out and narrow the others" .regx) -}}
{{- end -}}
{{- $rule := dict "regex" .regx -}}
{{- if .useHTTPS }}{{ $_ := set $rule "useTLS" true }}{{ end -}}
{{- with .redirect }}{{ $_ := set $rule "redirect" . }}{{ end -}}
{{- with dig "proxy" "defaultFilter" "" $old }}{{ $_ := set $rule "filteredQueryParams" (splitList "&" .) }}{{ end -}}
{{- $_ := set $proxy "rules" (append ($proxy.rules | default list) $rule) -}}
{{- end -}}
{{- if $proxy -}}
{{- $_ := set $new "proxy" $proxy -}}
{{- end -}}
{{- toYaml $new -}}
{{- end -}}

{{/* Keys that are accepted and do nothing: path, and what takes its place. */}}
{{- define "dragonfly.ineffectiveKeys" -}}
client.dfinit.config.proxy: the address follows from client.config
client.dfinit.image: it is that of client
client.hostIPC: nothing needs it
client.hostPID: nothing needs it
client.statefulsetAnnotations: use client.daemonsetAnnotations
containerRuntime.containerd.injectRegistryCredencials: containerd has them in its own configuration
containerRuntime.crio: use client.dfinit
containerRuntime.docker: use client.dfinit
containerRuntime.extraInitContainers: nothing needs them
containerRuntime.initContainerImage: nothing needs it
dfdaemon.mountDataDirAsHostPath: the cache always lies on the node
externalManager.enable: manager.enable says whether this release has a manager of its own
externalMysql.migrate: the schema is always brought up to date
externalRedis.backendDB: jobs are rows of the database
externalRedis.brokerDB: jobs are rows of the database
jaeger.agent: jaeger is one program
jaeger.allInOne: jaeger is one program
jaeger.collector: jaeger is one program
jaeger.provisionDataStore: traces are kept in memory
jaeger.query: jaeger is one program
jaeger.storage: traces are kept in memory
livenessProbe: probes are fixed
manager.config.jaeger: see jaeger.enable
mysql.auth.host: use externalMysql.host
mysql.clusterDomain: use clusterDomain
mysql.migrate: the schema is always brought up to date
mysql.primary: use the keys of mysql itself
readinessProbe: probes are fixed
redis.auth.enabled: there always is a password
redis.clusterDomain: use clusterDomain
redis.master: use the keys of redis itself
scheduler.config.jaeger: see jaeger.enable
startupProbe: probes are fixed
{{- range $component := list "manager" "scheduler" "seedClient" "client" "seedPeer" "dfdaemon" }}
{{ $component }}.initContainer: programs wait for each other by themselves
{{ $component }}.maxProcs: use resources.limits.cpu
{{- end }}
{{- range $component := list "seedPeer" "dfdaemon" }}
{{ $component }}.config.aliveTime: the daemon runs until it is ended
{{ $component }}.config.cacheDir: everything lies in dataDir
{{ $component }}.config.console: the log always goes to standard error
{{ $component }}.config.download.calculateDigest: contents are always verified
{{ $component }}.config.download.peerGRPC.security: there are no certificates of this kind
{{ $component }}.config.download.perPeerRateLimit: use totalRateLimit
{{ $component }}.config.download.prefetch: a range fetches the pieces it covers
{{ $component }}.config.health.path: it is /healthy
{{ $component }}.config.jaeger: see jaeger.enable
{{ $component }}.config.logDir: the log always goes to standard error
{{ $component }}.config.objectStorage: there is no object storage gateway
{{ $component }}.config.pluginDir: there are no plugins
{{ $component }}.config.proxy.defaultTag: a tag comes with its request
{{ $component }}.config.proxy.registryMirror.dynamic: requests may always name their registry
{{ $component }}.config.proxy.registryMirror.insecure: use a CA in client.config.proxy.registryMirror.cert
{{ $component }}.config.proxy.security: there are no certificates of this kind
{{ $component }}.config.scheduler.disableAutoBackSource: use client.config.proxy.disableBackToSource
{{ $component }}.config.scheduler.manager.enable: a manager is used if there is one
{{ $component }}.config.scheduler.manager.seedPeer.keepAlive: the interval is fixed
{{ $component }}.config.security: there are no certificates of this kind
{{ $component }}.config.storage.multiplex: contents are always shared
{{ $component }}.config.storage.strategy: there is one
{{ $component }}.config.upload.security: there are no certificates of this kind
{{ $component }}.config.workHome: everything lies in dataDir
{{- end }}
{{- end -}}

{{/* Those of them that this release's values have, one a line. */}}
{{- define "dragonfly.ineffective" -}}
{{- $values := .Values | toYaml | fromYaml -}}
{{- range splitList "\n" (include "dragonfly.ineffectiveKeys" . | trim) -}}
{{- $at := $values -}}
{{- range splitList "." (splitList ": " . | first) -}}
{{- $at = (kindIs "map" $at | ternary $at dict) | dig . nil -}}
{{- end -}}
{{- if not (kindIs "invalid" $at) }}
{{ . }}
{{- end -}}
{{- end -}}
{{- end -}}

{{/* host:port of the manager's gRPC. */}}
{{- define "dragonfly.managerAddr" -}}
{{- if .Values.manager.enable -}}
{{- $name := include "dragonfly.name" (dict "root" . "values" .Values.manager) -}}
{{- printf "%s:%d" (include "dragonfly.host" (dict "root" . "name" $name)) (int .Values.manager.grpcPort) -}}
{{- else if .Values.externalManager.host -}}
{{- printf "%s:%d" .Values.externalManager.host (int .Values.externalManager.grpcPort) -}}
{{- end -}}
{{- end -}}

{{/* Not empty if this release has MySQL, or Redis. */}}
{{- define "dragonfly.hasMysql" -}}
{{- if and .Values.mysql.enable (not .Values.standalone) (not .Values.externalMysql.host) }}yes{{ end -}}
{{- end -}}
{{- define "dragonfly.hasRedis" -}}
{{- if and .Values.redis.enable (not .Values.standalone) }}yes{{ end -}}
{{- end -}}
{{/* Not empty if the manager keeps its data itself. */}}
{{- define "dragonfly.embedded" -}}
{{- if or .Values.standalone (not (or (include "dragonfly.hasMysql" .) .Values.externalMysql.host)) }}yes{{ end -}}
{{- end -}}

{{/* How many managers. */}}
{{- define "dragonfly.managers" -}}
{{- if .Values.standalone -}}
1
{{- else if and (include "dragonfly.embedded" .) (gt (int .Values.manager.replicas) 1) -}}
{{- fail (printf "manager.replicas is %d: several managers need a database that they share; enable mysql, name externalMysql.host, or use 1" (int .Values.manager.replicas)) -}}
{{- else -}}
{{- .Values.manager.replicas -}}
{{- end -}}
{{- end -}}

{{/* Where traces go, as "tracing" of a program's file; empty if nowhere. */}}
{{- define "dragonfly.tracing" -}}
{{- if .Values.jaeger.enable -}}
{{- $host := include "dragonfly.host" (dict "root" . "name" (printf "%s-jaeger-collector" .Release.Name)) -}}
{{- toYaml (dict "protocol" "grpc" "endpoint" (printf "%s:4317" $host)) -}}
{{- end -}}
{{- end -}}

{{/* Registries that the keys of 2023 name: hostNamespace and serverAddr of each. */}}
{{- define "dragonfly.registries" -}}
{{- $all := list -}}
{{- $containerd := dig "containerd" dict (.Values.containerRuntime | default dict) -}}
{{- if $containerd.enable -}}
{{- range $containerd.registries | default (list "https://ghcr.io" "https://quay.io") -}}
{{- $host := index (splitList "://" .) 1 | trimSuffix "/" -}}
{{- $server := eq $host "docker.io" | ternary "https://index.docker.io" . -}}
{{- $all = append $all (dict "hostNamespace" $host "serverAddr" $server) -}}
{{- end -}}
{{- end -}}
{{- toYaml $all -}}
{{- end -}}
