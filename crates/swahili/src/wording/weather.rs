//! Weather: what it did where, and what came of it.

use super::phrase::{finite, join, sentence, to_do, who};
use crate::noun_class::Class;
use crate::random::Choices;
use crate::scene::Weather;
use crate::verb::{Subject, Tense};

impl Weather {
    fn weather_does(&self, tense: Tense) -> String {
        finite(self.phenomenon.stem, Subject::Third(self.phenomenon.class), tense, false, None)
    }

    /// Words the effect, or its absence.
    fn effect(&self, tense: Tense) -> String {
        finite(self.effect.stem, Subject::Third(self.effect.class), tense, self.harmless, None)
    }

    /// The weather and its effect in full.
    pub(crate) fn describe(&self, choices: Choices) -> String {
        let (name, time, thing) = (self.phenomenon.name, self.time, self.effect.thing);
        let town = self.town.phrase();
        let did = self.weather_does(Tense::Past);
        let class = self.phenomenon.class;
        let which_did = who(self.phenomenon.stem, class, Tense::Past, false, None);
        let happened = self.effect(if choices.chance("perfect", 40) { Tense::Perfect } else { Tense::Past });
        let source = *choices.pick(
            "source",
            &[
                "",
                "",
                "",
                "",
                "",
                "kwa mujibu wa mashuhuda,",
                "idara ya hali ya hewa imethibitisha kwamba",
                "ni kweli kwamba",
            ],
        );
        let relief = *choices.pick(
            "relief",
            &[
                "",
                "",
                "",
                "",
                "",
                "",
                "wananchi wametakiwa kuchukua tahadhari",
                "hakuna aliyejeruhiwa",
                "hali inatarajiwa kubadilika wiki ijayo",
            ],
        );
        let body = match choices.below("shape", 7) {
            _ if self.harmless => join(&["ingawa", name, &did, &town, &format!("{time},"), thing, &happened]),
            0 => join(&[
                name,
                &which_did,
                &town,
                time,
                &finite("sababisha", Subject::Third(class), Tense::Past, false, None),
                thing,
                &to_do(self.effect.stem, None),
            ]),
            1 => join(&[thing, &happened, &town, "baada ya", name, &to_do(self.phenomenon.stem, None), time]),
            2 => format!(
                "{time}, {}",
                join(&[name, &did, &town, "na kusababisha", thing, &to_do(self.effect.stem, None)])
            ),
            3 => join(&["kutokana na", name, &which_did, &town, &format!("{time},"), thing, &happened]),
            4 => format!(
                "{}. {}",
                join(&[name, &did, &town, time]),
                sentence(&join(&["kwa sababu hiyo,", thing, &happened]))
            ),
            5 => join(&["wakazi wameshuhudia jinsi", thing, &happened, &town, "kwa sababu ya", name, &which_did, time]),
            _ => join(&[&town, &format!("{time},"), name, &did, "kiasi kwamba", thing, &happened]),
        };
        let told = sentence(&join(&[source, &body]));
        if relief.is_empty() { told } else { format!("{told} {}", sentence(relief)) }
    }

    /// Words a conclusion: the weather or its effect.
    pub(crate) fn conclude(&self, choices: Choices) -> String {
        let (short, time) = (self.phenomenon.short, self.time);
        let town = self.town.phrase();
        let thing = if !self.harmless && choices.chance("short", 60) { self.effect.short } else { self.effect.thing };
        let happened = self.effect(Tense::Past);
        let effect_only = choices.below("shape", 7);
        let body = match effect_only {
            0 => join(&[short, &self.weather_does(Tense::Past), &town]),
            1 => join(&["kulikuwa na", short, &town, time]),
            2 => join(&[thing, &happened, &town]),
            3 if !self.harmless => join(&[thing, &happened, "kwa sababu ya", short]),
            4 if !self.harmless => {
                let harmed = finite("athiri", Subject::Third(self.phenomenon.class), Tense::Past, false, None);
                let people = if matches!(self.effect.class, Class::C2) { "watu" } else { self.effect.short };
                join(&[short, &harmed, people, &town])
            }
            5 => join(&["hali ya hewa", "haikuwa nzuri", &town, time]),
            _ => join(&[thing, &happened, time]),
        };
        sentence(&body)
    }
}
