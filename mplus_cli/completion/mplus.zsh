#compdef mplus
# Completion of mplus in zsh. Words come as lines, and are never evaluated.
_mplus() {
    local -a lines plain told
    local line
    lines=("${(@f)$(_MPLUS_COMPLETE=zsh "${words[1]}" -- "${(@)words[2,CURRENT]}" 2>/dev/null)}")
    if [[ ${lines[1]} == files ]]; then
        _files
        return
    fi
    for line in "${(@)lines[2,-1]}"; do
        plain+=("${line%%$'\t'*}")
        if [[ $line == *$'\t'* ]]; then
            told+=("${line%%$'\t'*}  -- ${line#*$'\t'}")
        else
            told+=("$line")
        fi
    done
    (( $#plain )) && compadd -l -d told -a plain
}
if (( ! $+functions[compdef] )); then
    autoload -Uz compinit && compinit
fi
compdef _mplus mplus
