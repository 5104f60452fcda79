/** The configuration of a Ceph of one monitor, one OSD in memory and one gateway, all on loopback, to be thrown away. */
export interface CephPlan {
  readonly folder: string
  readonly fsid: string
  readonly monitorPort: number
  readonly gatewayPort: number
  /** Its host name: buckets are labels before it. */
  readonly name: string
  /** It gives sessions (STS), encrypted with a key of 16 characters. */
  readonly sessions?: boolean | undefined
  /** For HTTPS beside HTTP. */
  readonly tls?: { readonly port: number; readonly cert: string; readonly key: string } | undefined
}

// Then an unknown key is answered with AccessDenied, not with InvalidAccessKeyId.
const sessions = (plan: CephPlan): string =>
  plan.sessions ? "rgw_s3_auth_use_sts = true\nrgw_sts_key = abcdefghijklmnop\n" : ""

const https = ({ tls }: CephPlan): string =>
  tls ? ` ssl_endpoint=127.0.0.1:${tls.port} ssl_certificate=${tls.cert} ssl_private_key=${tls.key}` : ""

export const cephConf = (plan: CephPlan): string => `[global]
fsid = ${plan.fsid}
mon_host = [v2:127.0.0.1:${plan.monitorPort}/0]
mon_initial_members = a
public_network = 127.0.0.0/8
ms_bind_ipv6 = false
ms_bind_msgr1 = false
auth_cluster_required = cephx
auth_service_required = cephx
auth_client_required = cephx
auth_allow_insecure_global_id_reclaim = false
keyring = ${plan.folder}/keyring
run_dir = ${plan.folder}/run
pid_file = ${plan.folder}/run/$name.pid
admin_socket = ${plan.folder}/run/$name.asok
log_file = ${plan.folder}/log/$name.log
crash_dir = ${plan.folder}/log
mon_cluster_log_file = ${plan.folder}/log/cluster.log
osd_pool_default_size = 1
osd_pool_default_min_size = 1
osd_pool_default_pg_num = 1
osd_pool_default_pgp_num = 1
osd_pool_default_pg_autoscale_mode = off
mon_allow_pool_size_one = true
mon_max_pg_per_osd = 2000
mon_warn_on_pool_no_redundancy = false
mon_data_avail_warn = 1
mon_data_avail_crit = 1
osd_crush_chooseleaf_type = 0
# a machine that is busy, or an OSD that a test has stopped, is no reason to call it dead
mon_osd_report_timeout = 3600
osd_heartbeat_grace = 3600
osd_op_thread_suicide_timeout = 3600

[mon.a]
mon_data = ${plan.folder}/mon
paxos_propose_interval = 0.05

[osd.0]
osd_data = ${plan.folder}/osd
osd_objectstore = memstore
memstore_device_bytes = 4294967296
osd_class_load_list = *
osd_class_default_list = *

[client.rgw]
rgw_data = ${plan.folder}/rgw
rgw_frontends = beast endpoint=127.0.0.1:${plan.gatewayPort}${https(plan)}
rgw_dns_name = ${plan.name}
rgw_enable_usage_log = false
rgw_crypt_require_ssl = false
rgw_gc_max_objs = 7
rgw_gc_obj_min_wait = 1
rgw_thread_pool_size = 64
${sessions(plan)}`
