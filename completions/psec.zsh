#compdef psec
# zsh completion for psec: the program itself is asked, so that this cannot go stale.
local line word
local -a found
local -i files=0

while IFS= read -r line; do
	if [[ $line == :files ]]; then
		files=1
		continue
	fi
	word=${line%%$'\t'*}
	found+=("${word//:/\\:}:${line#*$'\t'}")
done < <(${~words[1]} __complete -- "${(@Q)words[2,CURRENT-1]}" "${(Q)PREFIX}" 2>/dev/null)

(( $#found )) && _describe -t values 'psec' found
(( files )) && _files
(( $#found || files ))
