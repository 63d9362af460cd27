/* psec provision: identities in the TPM, and the CA that gives them. */
#include "provision.h"
#include "table.h"

const struct cmd cmd_provision = {
	.name = "provision",
	.summary = "identities of boards and sites: the CA that certifies them",
	.example = "psec provision ca init --ca factory-ca --ek-roots tpm-makers.pem\n"
		   "psec provision ca sign request.json --out challenge.json",
	.sub = (const struct cmd *const[]){ &cmd_provision_ca, NULL },
};
