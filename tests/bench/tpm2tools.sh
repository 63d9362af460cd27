#!/bin/bash
# The steps of a full provisioning (psec-provision(1)) by tpm2-tools, and by openssl where no TPM is needed: as a script
# would do it that has no psec. Beforehand there are, in FOLDER: ca.key, ca.pem, roots.pem, recovery.pem, authority.key.
#
#   tests/bench/tpm2tools.sh TCTI FOLDER
set -e
export TPM2TOOLS_TCTI=$1
cd "$2"
flush() { tpm2_flushcontext -t; }
# secretly KEY ENCRYPT|DECRYPT: a session salted for KEY, in which what is secret passes encrypted, as psec has it
secretly() {
	tpm2_startauthsession --hmac-session --tpmkey-context "$1" -S secret
	tpm2_sessionconfig secret "--enable-$2"
}
hex() { od -An -v -tx1 "$1" | tr -d ' \n'; }

# certified KEY.ctx SERIAL NAME [ENDORSEMENT-AUTH]: the IAK certifies it, the credential opens, the CA gives a certificate
certified() {
	tpm2_readpublic -Q -c "$1" -f pem -o key.pem
	tpm2_certify -Q -C 0x81020001 -c "$1" -g sha256 -f plain -o attest -s attest.sig
	flush
	openssl dgst -sha256 -verify iak.pem -signature attest.sig attest >/dev/null
	openssl rand 32 >credential
	tpm2_makecredential -Q -T none -G rsa -u ek.pem -s credential -n "$(hex iak.name)" -o sealed
	tpm2_startauthsession --policy-session -S session
	tpm2_policysecret -Q -S session -c e ${4:+"$4"}
	secretly 0x81000001 encrypt
	tpm2_activatecredential -Q -c 0x81020001 -C 0x81010001 -i sealed -o opened -P session:session -p session:secret
	tpm2_flushcontext secret
	tpm2_flushcontext session
	cmp credential opened
	openssl x509 -new -force_pubkey key.pem -subj "/CN=$2/serialNumber=$2" -days 365 -CA ca.pem -CAkey ca.key -out "$3.pem"
	openssl verify -CAfile ca.pem "$3.pem" >/dev/null
}

# health, endorsement certificate
tpm2_getcap properties-fixed >fixed
tpm2_getcap properties-variable >variable
tpm2_nvread -Q -C o 0x01c00002 -o ek.der
openssl x509 -inform DER -in ek.der -out ek.crt
openssl verify -CAfile roots.pem ek.crt >/dev/null
openssl x509 -in ek.crt -pubkey -noout >ek.pem

# SRK, IAK, IDevID
tpm2_createprimary -Q -C o -G ecc -c srk.ctx
tpm2_evictcontrol -Q -C o -c srk.ctx 0x81000001
flush
tpm2_createprimary -Q -C e -G ecc256:ecdsa-sha256:null -c iak.ctx \
	-a 'fixedtpm|fixedparent|sensitivedataorigin|userwithauth|restricted|sign'
tpm2_evictcontrol -Q -C o -c iak.ctx 0x81020001
flush
tpm2_createprimary -Q -C e -G ecc256:ecdsa-sha256:null -c idevid.ctx \
	-a 'fixedtpm|fixedparent|sensitivedataorigin|userwithauth|sign'
tpm2_evictcontrol -Q -C o -c idevid.ctx 0x81020000
flush
tpm2_readpublic -Q -c 0x81020001 -f pem -o iak.pem -n iak.name

# counter and revocation bits
tpm2_nvdefine -Q -C o -s 8 -a 'ownerread|authread|authwrite|no_da|nt=counter' 0x01500020
tpm2_nvincrement -Q 0x01500020
tpm2_nvdefine -Q -C o -s 8 -a 'ownerread|authread|ownerwrite|no_da|nt=bits' 0x01500021
tpm2_nvsetbits -Q -C o -i 0 0x01500021

# the board's certificates; it signs its request, too
certified 0x81020000 P-1 idevid
echo request >request
tpm2_sign -Q -c 0x81020000 -g sha256 -f plain -o request.sig request
openssl x509 -new -force_pubkey iak.pem -subj /CN=P-1/serialNumber=P-1 -days 365 -CA ca.pem -CAkey ca.key -out iak.crt
openssl verify -CAfile ca.pem iak.crt >/dev/null

# the storage key under a signed policy, and opened with it
openssl pkey -in authority.key -pubout -out authority.pem
printf '\0\0\0\0\0\0\0\1' >slot
tpm2_startauthsession -S trial
tpm2_policypcr -Q -S trial -l sha256:7
tpm2_policynv -Q -S trial -i slot 0x01500021 bc -L policy
tpm2_flushcontext trial
openssl dgst -sha256 -sign authority.key -out policy.sig policy
tpm2_loadexternal -Q -C o -G ecc -u authority.pem -c authority.ctx -n authority.name
flush
tpm2_startauthsession -S trial
tpm2_policyauthorize -Q -S trial -i policy -n authority.name -L authorized
tpm2_flushcontext trial
openssl rand 32 >storage
secretly 0x81000001 decrypt
tpm2_create -Q -C 0x81000001 -P session:secret -i storage -L authorized -u seal.pub -r seal.priv
tpm2_flushcontext secret
flush
tpm2_loadexternal -Q -C o -G ecc -u authority.pem -c authority.ctx
tpm2_verifysignature -Q -c authority.ctx -g sha256 -f ecdsa -m policy -s policy.sig -t ticket
flush
tpm2_load -Q -C 0x81000001 -u seal.pub -r seal.priv -c seal.ctx
flush
tpm2_startauthsession --policy-session --tpmkey-context 0x81000001 -S session
tpm2_sessionconfig session --enable-encrypt
tpm2_policypcr -Q -S session -l sha256:7
tpm2_policynv -Q -S session -i slot 0x01500021 bc
tpm2_policyauthorize -Q -S session -i policy -n authority.name -t ticket
tpm2_unseal -Q -c seal.ctx -p session:session -o unsealed
tpm2_flushcontext session
flush
cmp storage unsealed

# authorisations, escrowed first
for auth in lockout endorsement owner; do openssl rand -hex 32 >$auth; done
openssl enc -aes-256-ctr -K "$(hex unsealed)" -iv 00 -in owner -out secrets
openssl cms -encrypt -aes256 -in owner -outform PEM -out escrow.pem recovery.pem
for auth in lockout endorsement owner; do
	secretly 0x81010001 decrypt
	tpm2_changeauth -Q -c $auth -p session:secret "hex:$(cat $auth)"
	tpm2_flushcontext secret
done

# the site's key and certificate
tpm2_create -Q -C 0x81000001 -G ecc256:ecdsa-sha256:null -u ldevid.pub -r ldevid.priv \
	-a 'fixedtpm|fixedparent|sensitivedataorigin|userwithauth|noda|sign'
flush
tpm2_load -Q -C 0x81000001 -u ldevid.pub -r ldevid.priv -c ldevid.ctx
flush
certified ldevid.ctx house ldevid "hex:$(cat endorsement)"
tpm2_sign -Q -c ldevid.ctx -g sha256 -f plain -o request.sig request
flush
tpm2_sign -Q -c ldevid.ctx -g sha256 -f plain -o request.sig request
flush
openssl dgst -sha256 -verify key.pem -signature request.sig request >/dev/null
