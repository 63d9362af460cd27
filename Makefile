# psec. The two commands: `make demo`, `make check`. `make help` lists the rest.
#
# A room of lib/ is a folder; its sources are found, not listed. Objects go to build/ (SAN=1: build/san/). Every
# object depends on the headers it read and on the flags it was compiled with.

VERSION := $(shell sed -n 's/^\#define PSEC_VERSION "\(.*\)"/\1/p' lib/base/base.h)
CC      ?= gcc
CFLAGS  ?= -O2 -g
PREFIX  ?= /usr/local
SYSCONFDIR ?= /etc
LIBEXEC ?= $(PREFIX)/libexec/psec
SHARE   ?= $(PREFIX)/share/psec
UNITDIR ?= $(PREFIX)/lib/systemd/system
INSTALL ?= install
PKG_CONFIG ?= pkg-config

B := build
ifeq ($(SAN),1)
B := build/san
san := -fsanitize=address,undefined -fno-sanitize-recover=undefined -fno-omit-frame-pointer
endif
ifeq ($(CI),true)
werror := -Werror
endif
Q := $(if $(filter 1,$(V)),,@)
say = $(if $(Q),@printf '  %-4s %s\n' '$(1)' '$(2)',)

warn := -Wall -Wextra -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wpointer-arith -Wwrite-strings -Wvla \
	-Wformat=2 -Wundef
# Hidden: a name of ours must not take the place of one that a library calls in itself (readline's xrealloc).
flags := -std=gnu11 -D_GNU_SOURCE -iquote lib -iquote psecd -DPSEC_SHARE='"$(SHARE)"' -DPSEC_LIBEXEC='"$(LIBEXEC)"' \
	-DPSEC_SYSCONFDIR='"$(SYSCONFDIR)"' -fstack-protector-strong -fPIE -fvisibility=hidden $(warn) $(werror) $(san)
link  := -pie -Wl,--as-needed -Wl,-z,relro,-z,now -Wl,--gc-sections $(san)
hard  := $(if $(findstring -O,$(CFLAGS)),$(if $(san),,-D_FORTIFY_SOURCE=2))
compile = $(CC) $(flags) $(hard) -ffunction-sections -MMD -MP $(CPPFLAGS) $(CFLAGS)

libs := $(shell $(PKG_CONFIG) --libs jansson yaml-0.1 smartcols sqlite3 libcrypto tss2-esys tss2-mu tss2-sys tss2-tctildr tss2-rc libmodbus libseccomp libqrencode libmd readline 2>/dev/null) -lm -pthread

lib_src   := $(sort $(wildcard lib/*/*.c))
cmd_src   := $(sort $(wildcard cmd/*.c))
psecd_src := $(sort $(wildcard psecd/*.c))
core_src  := $(sort $(wildcard psecd/core/*.c))
field_src := $(sort $(wildcard psecd/field/*.c))
wire_src  := $(sort $(wildcard psecd/wire/*.c))
unit_src  := $(sort $(wildcard tests/unit/test_*.c))
fuzz_src  := $(sort $(wildcard tests/fuzz/fuzz_*.c))
bench_src := $(filter-out tests/bench/slowdisk.c,$(sort $(wildcard tests/bench/*.c)))
headers   := $(sort $(wildcard lib/*/*.h psecd/*/*.h cmd/*.h))
src := $(lib_src) $(cmd_src) $(psecd_src) $(core_src) $(field_src) $(wire_src)
obj = $(patsubst %.c,$(B)/obj/%.o,$(1))

bin := $(if $(cmd_src),$(B)/bin/psec) $(if $(psecd_src),$(B)/bin/psecd) $(if $(core_src),$(B)/bin/psecd-core) \
	$(if $(field_src),$(B)/bin/psecd-field)
unit_bin  := $(patsubst tests/unit/%.c,$(B)/unit/%,$(unit_src))
fuzz_bin  := $(patsubst tests/fuzz/%.c,$(B)/fuzz/%,$(fuzz_src))
tls_client := $(B)/system/tls_client
bench_bin := $(patsubst tests/bench/%.c,$(B)/bench/%,$(bench_src)) $(B)/bench/slowdisk.so
man_pages := $(patsubst man/%.scd,$(B)/man/%,$(wildcard man/*.scd))

.DEFAULT_GOAL := all
.DELETE_ON_ERROR:
.PHONY: all bin share man tests help deps deps-test deps-step deps-vm deps-deb deb demo check check-long \
	check-vm check-unit check-cli check-system \
	check-fault check-layers check-headers check-lines check-lean bench golden-update install uninstall clean FORCE

all: bin man
bin: $(bin) share
man: $(man_pages)

# ---- what a target was made with: changes only when the words do, so that a changed flag or a removed source rebuilds
define remember
$(shell mkdir -p $(B)/made; printf '%s\n' '$(subst ','\'',$(2))' | cmp -s - $(B)/made/$(1) || printf '%s\n' '$(subst ','\'',$(2))' >$(B)/made/$(1))
endef
$(call remember,flags,$(compile))
$(call remember,link,$(link) $(LDFLAGS) $(libs) $(LDLIBS))
$(foreach l,lib cmd psecd core field wire,$(call remember,$(l)-sources,$($(l)_src)))

$(B)/obj/%.o: %.c $(B)/made/flags
	$(call say,CC,$<)
	$(Q)mkdir -p $(@D)
	$(Q)$(compile) -c -o $@ $<

$(B)/libpsec.a: $(call obj,$(lib_src)) $(B)/made/lib-sources
	$(call say,AR,$@)
	$(Q)rm -f $@
	$(Q)$(AR) rcs $@ $(filter %.o,$^)

define program
$(B)/bin/$(1): $$(call obj,$(2)) $(B)/libpsec.a $(B)/made/link $(3)
	$$(call say,LD,$$@)
	$$(Q)mkdir -p $$(@D)
	$$(Q)$$(CC) $(link) $$(CFLAGS) $$(LDFLAGS) -o $$@ $$(filter %.o,$$^) $(B)/libpsec.a $(libs) $$(LDLIBS)
endef
$(eval $(call program,psec,$(cmd_src),$(B)/made/cmd-sources))
$(eval $(call program,psecd,$(psecd_src) $(wire_src),$(B)/made/psecd-sources))
$(eval $(call program,psecd-core,$(core_src) $(wire_src),$(B)/made/core-sources))
$(eval $(call program,psecd-field,$(field_src) $(wire_src),$(B)/made/field-sources))

# The build tree looks like an installed one: programs find their data in ../share/psec.
data := lib/device/profiles lib/device/sunspec lib/sim/series lib/sim/scenarios
share:
	$(Q)mkdir -p $(B)/share/psec
	$(Q)ln -sfnr $(data) $(B)/share/psec/

# ---- manual
$(B)/man/%: man/%.scd
	$(call say,MAN,$@)
	$(Q)mkdir -p $(@D)
	$(Q)SOURCE_DATE_EPOCH=0 scdoc <$< >$@

# ---- tests
# The poller is tested on a clock of the test's own.
$(foreach t,$(filter test_poll%,$(notdir $(unit_src:.c=))),$(eval wrap_$(t) := -Wl,--wrap=now_read))
# A socket that is full when a test says so.
wrap_test_bus_tcp := -Wl,--wrap=send
# A TPM that lacks a curve when a test says so.
wrap_test_tpm_keys := -Wl,--wrap=Esys_CreatePrimary
# One that answers with nothing, likewise.
wrap_test_tpm_nv := -Wl,--wrap=Esys_NV_Read
$(B)/unit/test_words: $(call obj,cmd/words.c cmd/dispatch.c cmd/options.c cmd/help.c cmd/common.c)
$(B)/unit/test_known: $(call obj,psecd/core/known.c)
$(B)/unit/test_quota: $(call obj,psecd/core/quota.c)
$(B)/unit/%: $(B)/obj/tests/unit/%.o $(B)/libpsec.a $(call obj,$(wire_src)) $(B)/made/link
	$(call say,LD,$@)
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) $(link) $(CFLAGS) $(LDFLAGS) $(wrap_$*) -o $@ $(filter %.o,$^) $(B)/libpsec.a $(libs) -lcmocka $(LDLIBS)
$(B)/fuzz/%: $(B)/obj/tests/fuzz/%.o $(B)/obj/tests/fuzz/replay.o $(B)/libpsec.a $(B)/made/link
	$(call say,LD,$@)
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) $(link) $(CFLAGS) $(LDFLAGS) -o $@ $(filter %.o,$^) $(B)/libpsec.a $(libs) $(LDLIBS)
$(B)/bench/%: $(B)/obj/tests/bench/%.o $(B)/libpsec.a $(call obj,$(wire_src)) $(B)/made/link
	$(call say,LD,$@)
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) $(link) $(CFLAGS) $(LDFLAGS) -o $@ $(filter %.o,$^) $(B)/libpsec.a $(libs) $(LDLIBS)
# psec's TLS key as a program uses it, with libssl.
$(tls_client): $(B)/obj/tests/system/tls_client.o $(B)/libpsec.a $(B)/made/link
	$(call say,LD,$@)
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) $(link) $(CFLAGS) $(LDFLAGS) -o $@ $(filter %.o,$^) $(B)/libpsec.a -lssl $(libs) $(LDLIBS)
# Preloaded into psecd's processes: no psec in them.
$(B)/bench/slowdisk.so $(B)/fault/clock_step.so: $(B)/%.so: tests/%.c $(B)/made/flags
	$(call say,CC,$<)
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) -std=gnu11 -D_GNU_SOURCE $(warn) $(werror) -O2 -fPIC -shared -o $@ $<

# Ends a program as it enters a system call.
$(B)/fault/kill_at: tests/fault/kill_at.c $(B)/made/flags
	$(call say,LD,$@)
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) -std=gnu11 -D_GNU_SOURCE $(warn) $(werror) -O2 -o $@ $<

tests: bin $(unit_bin) $(fuzz_bin) $(tls_client) $(B)/fault/clock_step.so $(B)/fault/kill_at
check: deps-test
	$(Q)$(MAKE) --no-print-directory tests man
	$(Q)tests/check $(B)
check-long: deps-test
	$(Q)$(MAKE) --no-print-directory tests man
	$(Q)tests/check --long $(B)
check-vm check-unit check-cli check-system check-fault check-layers check-headers check-lines check-lean: tests
	$(Q)tests/check --only $(@:check-%=%) $(B)
bench: deps-test
	$(Q)$(MAKE) --no-print-directory bin $(bench_bin) $(tls_client)
	$(Q)tests/bench/run $(B)
demo: deps
	$(call install_debs,$(debs_demo))
	$(Q)$(MAKE) --no-print-directory bin
	$(Q)tests/demo $(B)/bin
golden-update: bin
	$(Q)tests/check --golden-update $(B)

# ---- what Debian 12 must give
debs_build := gcc libc6-dev make pkg-config libmodbus-dev libyaml-dev libjansson-dev libsmartcols-dev libsqlite3-dev \
	libseccomp-dev libreadline-dev libqrencode-dev libmd-dev libssl-dev libtss2-dev
debs_demo := swtpm swtpm-tools openssl
debs_deb := build-essential debhelper lintian fakeroot
debs_vm := qemu-system-x86 busybox-static cpio kmod
debs_test := libcmocka-dev bats scdoc socat iproute2 nftables procps python3 python3-venv sqlite3 mbpoll man-db \
	bash-completion zsh fish util-linux git $(debs_demo) tpm2-tools tpm2-openssl mosquitto mosquitto-clients \
	tpm2-abrmd libtss2-tcti-tabrmd0 dbus-daemon cryptsetup-bin \
	$(debs_deb) mmdebstrap systemd-container librsvg2-bin zbar-tools
missing = $(shell for p in $(1); do dpkg-query -W -f '$${Status}' $$p 2>/dev/null | grep -q ' installed$$' || echo $$p; done)
define install_debs
$(Q)set -e; m='$(call missing,$(1))'; if [ -n "$$m" ]; then \
	sudo=; if [ "$$(id -u)" != 0 ]; then sudo="sudo env DEBIAN_FRONTEND=noninteractive"; \
	command -v sudo >/dev/null || { echo "please install as root: apt-get install $$m" >&2; exit 1; }; fi; \
	echo "installing from Debian: $$m"; export DEBIAN_FRONTEND=noninteractive; \
	$$sudo apt-get -qq update && $$sudo apt-get -qq -y --no-install-recommends install $$m >/dev/null; fi
endef
deps:
	$(call install_debs,$(debs_build))
deps-deb:
	$(call install_debs,$(debs_build) scdoc $(debs_deb))
# The peers that tests scan and control are pymodbus and pysunspec2, in a folder of their own.
deps-test:
	$(call install_debs,$(debs_build) $(debs_test))
	$(Q)tests/venv $(CURDIR)/build/venv
# step-ca, which tests put behind psec's CA: apart, because it takes minutes. Without it they are skipped.
deps-step: deps-test
	$(Q)tests/step $(CURDIR)/build/step
# A machine with a TPM that is a device, for tests/vm: apart, because it is 170 MB to fetch. Without it they are skipped.
deps-vm: deps-test
	$(call install_debs,$(debs_vm))
	$(Q)tests/vm/machine $(CURDIR)/build/vm

# ---- install
systemd := psecd/install
install: all
	$(INSTALL) -d $(DESTDIR)$(PREFIX)/bin $(DESTDIR)$(PREFIX)/sbin $(DESTDIR)$(LIBEXEC) \
		$(DESTDIR)$(PREFIX)/share/bash-completion/completions $(DESTDIR)$(UNITDIR) \
		$(DESTDIR)$(PREFIX)/lib/sysusers.d $(DESTDIR)$(PREFIX)/lib/tmpfiles.d
	$(INSTALL) $(B)/bin/psec $(DESTDIR)$(PREFIX)/bin/
	$(INSTALL) $(B)/bin/psecd $(DESTDIR)$(PREFIX)/sbin/
	$(INSTALL) $(B)/bin/psecd-core $(B)/bin/psecd-field $(DESTDIR)$(LIBEXEC)/
	for d in $(data); do to=$(DESTDIR)$(SHARE)/$${d##*/}; $(INSTALL) -d $$to && $(INSTALL) -m 644 $$d/* $$to/ || exit 1; done
	$(INSTALL) -m 644 completions/psec.bash $(DESTDIR)$(PREFIX)/share/bash-completion/completions/psec
	$(INSTALL) -D -m 644 completions/psec.zsh $(DESTDIR)$(PREFIX)/share/zsh/vendor-completions/_psec
	$(INSTALL) -D -m 644 completions/psec.fish $(DESTDIR)$(PREFIX)/share/fish/vendor_completions.d/psec.fish
	for m in $(man_pages); do s=$${m##*.}; $(INSTALL) -d $(DESTDIR)$(PREFIX)/share/man/man$$s; \
		$(INSTALL) -m 644 $$m $(DESTDIR)$(PREFIX)/share/man/man$$s/; done
	sed 's|@SBINDIR@|$(PREFIX)/sbin|; s|@SYSCONFDIR@|$(SYSCONFDIR)|' $(systemd)/psecd.service.in >$(B)/psecd.service
	sed 's|@BINDIR@|$(PREFIX)/bin|' $(systemd)/psec-state-crypt@.service.in >$(B)/psec-state-crypt@.service
	$(INSTALL) -m 644 $(B)/psecd.service $(B)/psec-state-crypt@.service $(DESTDIR)$(UNITDIR)/
	$(INSTALL) -m 644 $(systemd)/psec.sysusers $(DESTDIR)$(PREFIX)/lib/sysusers.d/psec.conf
	$(INSTALL) -m 644 $(systemd)/psec.tmpfiles $(DESTDIR)$(PREFIX)/lib/tmpfiles.d/psec.conf
uninstall:
	rm -f $(DESTDIR)$(PREFIX)/bin/psec $(DESTDIR)$(PREFIX)/sbin/psecd $(DESTDIR)$(UNITDIR)/psecd.service \
		$(DESTDIR)$(UNITDIR)/psec-state-crypt@.service
	rm -f $(DESTDIR)$(PREFIX)/lib/sysusers.d/psec.conf $(DESTDIR)$(PREFIX)/lib/tmpfiles.d/psec.conf
	rm -rf $(DESTDIR)$(LIBEXEC) $(DESTDIR)$(SHARE)
	rm -f $(DESTDIR)$(PREFIX)/share/bash-completion/completions/psec
	rm -f $(DESTDIR)$(PREFIX)/share/zsh/vendor-completions/_psec $(DESTDIR)$(PREFIX)/share/fish/vendor_completions.d/psec.fish
	for m in $(notdir $(man_pages)); do rm -f $(DESTDIR)$(PREFIX)/share/man/man$${m##*.}/$$m; done

# A package of what is committed: the recipe comes into a copy of the tree, because the tree has no debian/ of its own.
deb: deps-deb
	$(Q)rm -rf $(B)/deb && mkdir -p $(B)/deb/psec
	$(Q)git archive HEAD | tar -x -C $(B)/deb/psec && cp -r psecd/deb $(B)/deb/psec/debian
	$(Q)cd $(B)/deb/psec && dpkg-buildpackage -b -us -uc >../log 2>&1 || { tail -n 30 ../log; exit 1; }
	$(Q)lintian --fail-on error $(B)/deb/psec_*.changes
	$(Q)ls $(B)/deb/*.deb

clean:
	rm -rf build

help:
	@echo 'make demo     install what is missing, build, and show the main job on a simulated site (3 min)'
	@echo 'make check    install what is missing, build, run the tests (SAN=1: under ASan and UBSan)'
	@echo 'make          the programs and the manual        V=1 shows the commands'
	@echo 'make bench    the figures, each beside its peer   make install [PREFIX= DESTDIR=]'
	@echo 'make deb      a Debian package in build/deb, looked at by lintian'
	@echo 'make deps     only install what is missing from Debian'
	@echo 'make deps-step  build step-ca, without which two tests of make check are skipped (some minutes)'
	@echo 'make deps-vm    fetch a machine with /dev/tpmrm0, without which tests/vm is skipped (170 MB; x86-64)'

-include $(shell find $(B)/obj -name '*.d' 2>/dev/null)
