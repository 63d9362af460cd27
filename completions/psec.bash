# bash completion for psec: the program itself is asked, so that this cannot go stale.
_psec() {
	local line word IFS=$'\n'
	COMPREPLY=()
	while IFS= read -r line; do
		if [[ $line == :files ]]; then
			compopt -o filenames
			COMPREPLY+=($(compgen -f -- "$2"))
			continue
		fi
		word=${line%%$'\t'*}
		COMPREPLY+=("$word")
	done < <("${COMP_WORDS[0]}" __complete -- "${COMP_WORDS[@]:1:COMP_CWORD}" 2>/dev/null)
}
complete -F _psec psec
