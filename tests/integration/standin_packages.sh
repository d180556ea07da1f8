#!/bin/sh
# Debian's systemd, D-Bus and mount, as packages of other families: repositories for the trees of standins.py.
#
#   standin_packages.sh fetch ROOT   from mmdebstrap's hook: the .deb files of what boots, into the tree
#   standin_packages.sh build        in the tree: what is in them as .rpm and .pkg.tar.zst, signed, in /srv/repository
set -eu

debs=/srv/debs
work=/srv/work
repository=/srv/repository
# The day of the Arch Linux snapshot. Its packages are signed by a key that has expired since, as some of its have.
snapshot=20220501T120000

fetch() {
    archives=$1/var/cache/apt/archives
    rm -f "$archives"/*.deb
    APT_CONFIG=$MMDEBSTRAP_APT_CONFIG apt-get --yes --no-install-recommends --download-only \
        --option=Dir::Cache::Archives="$archives" install systemd systemd-sysv dbus mount
    mkdir -p "$1$debs"
    mv "$archives"/*.deb "$1$debs"
    # repo-add and pacman-key need what makepkg has, and nothing of what that depends on.
    (cd "$1/srv" && APT_CONFIG=$MMDEBSTRAP_APT_CONFIG apt-get download makepkg)
    dpkg-deb --extract "$1"/srv/makepkg_*.deb "$1/srv/makepkg"
    mv "$1/srv/makepkg/usr/share/makepkg" "$1/usr/share"
    mv "$1/srv/makepkg/usr/bin/vercmp" "$1/usr/bin"
    rm -r "$1"/srv/makepkg*
}

# The files of packages "$2"…, below $work/"$1".
unpack() {
    into=$work/$1
    shift
    mkdir -p "$into"
    for package; do
        dpkg-deb --extract "$package" "$into"
        rm "$package"
    done
    # In these distributions as in the tree, /bin and its like are links into /usr.
    for directory in bin sbin lib lib64; do
        if [ -d "$into/$directory" ]; then
            mkdir -p "$into/usr/$directory"
            cp -a "$into/$directory/." "$into/usr/$directory"
            rm -r "${into:?}/$directory"
        fi
    done
    rm -rf "$into/usr/share/man" "$into/usr/share/locale" "$into/usr/share/lintian" "$into/usr/share/bug"
}

post_install() {
    case $1 in
    systemd) printf 'systemd-machine-id-setup\nsystemd-sysusers\nsystemctl enable getty@tty1.service\n' ;;
    dbus)
        printf 'systemd-sysusers dbus.conf\nmkdir -p /var/lib/dbus\n'
        printf 'chgrp messagebus /usr/lib/dbus-1.0/dbus-daemon-launch-helper\n'
        printf 'chmod 4754 /usr/lib/dbus-1.0/dbus-daemon-launch-helper\n'
        ;;
    esac
}

# One subpackage "$1", with the files below "$2"…, as patterns, in which a backslash cannot be written.
rpm_package() {
    name=$1
    shift
    printf '%%package -n %s\nSummary: %s\nAutoReqProv: no\n' "$name" "$name"
    case $name in
    systemd) printf 'Requires: systemd-libs\nRequires: util-linux\nRequires: /usr/bin/dbus-daemon\n' ;;
    dbus*) printf 'Requires(post): systemd\nRequires(post): /bin/sh\n' ;;
    util-linux) printf 'Requires: bash\n' ;;
    standin-release) printf 'Provides: system-release = 12\nProvides: redhat-release = 12\nProvides: distribution-release = 12\n' ;;
    bash) printf 'Provides: /bin/sh\n' ;;
    systemd-standalone-sysusers) printf 'Conflicts: systemd\n' ;; # Fedora's, which its images have since 42
    esac
    printf '%%description -n %s\n%s\n' "$name" "$name"
    case $name in
    systemd) printf '%%post -n %s\n%s\n' "$name" "$(post_install systemd)" ;;
    dbus*) printf '%%post -n %s\n%s\n' "$name" "$(post_install dbus)" ;;
    esac
    printf '%%files -n %s\n' "$name"
    for directory; do
        (cd "$directory" && find . ! -type d -printf '/%P\n') | tr '\134' '?'
    done
}

rpms() {
    {
        printf 'Name: standin\nVersion: %s\nRelease: 1\nSummary: none\nLicense: none\nAutoReqProv: no\n' "$version"
        printf '%%description\nnone\n%%install\ncp -a %s/*/. %%{buildroot}\n' "$work"
        rpm_package systemd "$work/systemd" "$work/systemd-sysvcompat"
        rpm_package systemd-libs "$work/systemd-libs"
        rpm_package dbus "$work/dbus"
        rpm_package dbus-1 "$work/dbus"
        rpm_package util-linux "$work/util-linux"
        rpm_package bash
        rpm_package systemd-standalone-sysusers
        rpm_package standin-release
    } >/srv/standin.spec
    mkdir -p /srv/built "$repository/fedora" "$repository/suse"
    rpmbuild -bb --quiet --nodeps --define '_topdir /srv/rpmbuild' --define '_rpmdir /srv/built' \
        --define '_rpmfilename %%{NAME}.rpm' --define '_binary_payload w1.zstdio' --define 'debug_package %{nil}' \
        --define '__os_install_post %{nil}' --define '_build_id_links none' /srv/standin.spec
    rpmsign --define '__gpg /usr/bin/gpg' --define '_gpg_name standin-rpm' --addsign /srv/built/*.rpm
    gpg --batch --armor --export standin-rpm >/srv/standin.asc
    # What the tree has is known to rpm, as bash is everywhere.
    rpm --initdb
    rpm --install --justdb --nosignature /srv/built/bash.rpm /srv/built/standin-release.rpm
    for distribution in fedora suse; do
        cp /srv/built/*.rpm "$repository/$distribution"
        case $distribution in
        fedora) rm "$repository/$distribution/dbus-1.rpm" ;;
        suse) rm "$repository/$distribution/dbus.rpm" ;;
        esac
        createrepo_c --quiet --no-database "$repository/$distribution"
        gpg --batch --local-user standin-rpm --armor --detach-sign "$repository/$distribution/repodata/repomd.xml"
        cp /srv/standin.asc "$repository/$distribution/repodata/repomd.xml.key"
    done
}

# Package "$1", with the files below "$2", which needs "$3"…, into "$repository/arch".
arch_package() {
    name=$1 files=$2
    shift 2
    {
        printf 'pkgname = %s\npkgver = %s-1\npkgdesc = %s\narch = %s\n' "$name" "$version" "$name" "$architecture"
        printf 'builddate = 1651406400\nsize = 1\n'
        [ $# = 0 ] || printf 'depend = %s\n' "$@"
    } >"$files/.PKGINFO"
    # D-Bus comes before systemd, by which it gets its user.
    script=
    [ "$name" != systemd ] || script=$(post_install systemd && post_install dbus)
    [ -z "$script" ] || printf 'post_install() {\n%s\n}\n' "$script" >"$files/.INSTALL"
    package=$repository/arch/$name-$version-1-$architecture.pkg.tar.zst
    # What describes the package comes first: libalpm reads no further where that is all it wants.
    (cd "$files" && find . -maxdepth 1 -mindepth 1 -printf '%P\n' | LC_ALL=C sort |
        tar --create --use-compress-program='zstd -1' --owner=0 --group=0 --file="$package" --files-from=-)
    rm -f "$files/.PKGINFO" "$files/.INSTALL"
}

signed() {
    gpg --batch --faked-system-time "$snapshot" --local-user standin-arch --detach-sign --output "$1.sig" "$1"
}

arch() {
    architecture=$(rpm --eval '%{_arch}')
    mkdir -p "$repository/arch" /srv/empty
    arch_package systemd "$work/systemd" systemd-libs dbus util-linux
    arch_package systemd-libs "$work/systemd-libs"
    arch_package systemd-sysvcompat "$work/systemd-sysvcompat" systemd
    arch_package dbus "$work/dbus" systemd-libs
    arch_package util-linux "$work/util-linux" filesystem
    arch_package filesystem /srv/empty
    # What the tree has, since that day
    printf '[options]\nArchitecture = auto\nSigLevel = Never\n' >/srv/pacman.conf
    pacman --config /srv/pacman.conf --upgrade --dbonly --noconfirm "$repository"/arch/filesystem-*.zst
    sed -i '/^%INSTALLDATE%/{n;s/.*/1651406400/}' "/var/lib/pacman/local/filesystem-$version-1/desc"
    repo-add --quiet "$repository/arch/standin.db.tar.gz" "$repository"/arch/*.zst
    for package in "$repository"/arch/*.zst; do signed "$package"; done
    signed "$repository/arch/standin.db.tar.gz"
    ln -s standin.db.tar.gz.sig "$repository/arch/standin.db.sig"
    keyrings=/usr/share/keyrings # in Arch Linux, /usr/share/pacman/keyrings
    rm "$keyrings"/*
    gpg --batch --export standin-arch >"$keyrings/standin.gpg"
    gpg --batch --with-colons --list-keys standin-arch | sed -n 's/^fpr:*\([0-9A-F]*\):$/\1:4:/p' | sed -n 1p \
        >"$keyrings/standin-trusted"
}

build() {
    export GNUPGHOME=/srv/gnupg
    mkdir -m 700 "$GNUPGHOME"
    trap 'gpgconf --kill all' EXIT
    mkdir -p /etc/rpm
    echo '%_dbpath /var/lib/rpm' >/etc/rpm/macros.standin # Debian's is in the home directory
    gpg --batch --quiet --passphrase '' --quick-generate-key standin-rpm rsa2048 sign never
    gpg --batch --quiet --passphrase '' --faked-system-time "$snapshot" --quick-generate-key standin-arch rsa2048 sign 90d
    version=$(dpkg-deb --field "$debs"/systemd_*.deb Version | sed 's/^\([0-9]*\).*/\1/')
    unpack systemd "$debs"/systemd_*.deb
    unpack systemd-sysvcompat "$debs"/systemd-sysv_*.deb
    unpack dbus "$debs"/dbus*.deb
    unpack util-linux "$debs"/mount_*.deb
    unpack systemd-libs "$debs"/*.deb
    rpms
    arch
    rm -r /srv/gnupg /srv/debs /srv/work /srv/built /srv/rpmbuild /srv/standin.spec /srv/pacman.conf /srv/empty
}

"$@"
